/** Commands as a person would type them into a shell. */

/** The words of a command line. What is filled in stays one word whatever is in it; a list becomes several. */
export function words({ raw }: TemplateStringsArray, ...values: (string | readonly string[])[]): string[] {
  const left = [...values];
  return raw
    .join("\0")
    .trim()
    .split(/\s+/)
    .flatMap((word) => (word === "\0" ? (left.shift() ?? []) : word.replaceAll("\0", () => String(left.shift()))));
}

/** The word as a POSIX shell reads it back, in quotes only if it needs them. */
export function quoteForShell(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
