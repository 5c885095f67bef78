/** Commands as a person would type them into a shell. */

/** The word as a POSIX shell reads it back, in quotes only if it needs them. */
export function quoteForShell(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
