/**
 * Ends what a launcher has left behind. It runs beside the launcher and is told on stdin, a line each, what there is:
 * "+ 123" for the process group 123, "+ -jar /some/path" for processes with that text in their command line, and "- …" for
 * what is gone. However the launcher ends, stdin ends with it; then whatever is still on the list is ended.
 */
import { createInterface } from "node:readline";
import { killGroup, killMarked } from "./kill-process-group.js";

const list = new Set<string>();

for await (const line of createInterface({ input: process.stdin })) {
  if (line.startsWith("+ ")) list.add(line.slice(2));
  else list.delete(line.slice(2));
}
const isGroup = (entry: string) => /^\d+$/.test(entry);
for (const group of [...list].filter(isGroup)) killGroup(Number(group));
killMarked([...list].filter((entry) => !isGroup(entry)));
