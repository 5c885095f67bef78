/** The error that ends a program with a message instead of a stack. It is apart since it is needed before anything is installed. */

/** The program can't start; the message is all that the person at the terminal needs. */
export class StartError extends Error {
  override readonly name = "StartError";
}
