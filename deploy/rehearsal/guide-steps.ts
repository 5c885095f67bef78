/** The steps of a chapter of a page, with the commands that it prints. */

export interface PrintedStep {
  number: number;
  /** The bold words that it begins with. */
  title: string;
  /** Its shell blocks, each as a reader would paste it. */
  commands: string[];
}

/**
 * The numbered steps under a heading such as "## Deploy".
 * @throws Error when the page has no such heading, or nothing is numbered under it
 */
export function stepsOf(page: string, heading: string): PrintedStep[] {
  const chapter = chapterOf(page, heading);
  const parts = chapter.split(/^(?=\d+\. )/m).filter((part) => /^\d+\. /.test(part));
  if (parts.length === 0) throw new Error(`nothing is numbered under "${heading}"`);
  return parts.map((part) => ({
    number: Number.parseInt(part, 10),
    title: /\*\*(.+?)\.?\*\*/s.exec(part)?.[1] ?? "",
    commands: commandsOf(part),
  }));
}

/**
 * The text under a heading, to the next of the same level.
 * @throws Error when the page has no such heading
 */
export function chapterOf(page: string, heading: string): string {
  const start = page.indexOf(`\n${heading}\n`);
  if (start < 0) throw new Error(`there is no heading "${heading}"`);
  const level = heading.slice(0, heading.indexOf(" ") + 1);
  const rest = page.slice(start + heading.length + 2);
  const end = rest.indexOf(`\n${level}`);
  return end < 0 ? rest : rest.slice(0, end);
}

/** The shell blocks of a text. */
export function commandsOf(text: string): string[] {
  return [...text.matchAll(/^( *)```sh\n(.*?)^\1```/gms)].map(([, indent = "", block = ""]) =>
    block
      .split("\n")
      .map((line) => line.slice(indent.length))
      .join("\n")
      .trim(),
  );
}
