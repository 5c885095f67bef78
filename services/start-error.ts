/** The error that ends a program with a message instead of a stack. In a file of its own, since it is needed before anything is installed. */

/** The program can't start. The message tells the user everything that is needed. */
export class StartError extends Error {
  override readonly name = "StartError";
}
