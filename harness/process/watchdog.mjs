/**
 * Ends what its launcher leaves behind. It runs beside the launcher and reads from stdin, a line each, what to watch: "+ 123"
 * for the process group 123, "+ -Dsome.mark" for processes with that text on their command line. "- …" takes an entry off the list;
 * marked processes end then, and the line is sent back. However the launcher ends, stdin ends with it: then all on the list end.
 */
import { execFileSync } from "node:child_process";
import { createInterface } from "node:readline";

const watched = new Set();
const isGroup = (entry) => /^\d+$/.test(entry);

function end(entry) {
  for (const group of isGroup(entry) ? [Number(entry)] : groupsMarked(entry)) {
    try {
      process.kill(-group, "SIGKILL");
    } catch (error) {
      // macOS answers EPERM for a group of nothing but zombies.
      if (error.code !== "ESRCH" && error.code !== "EPERM") throw error;
    }
  }
}

function groupsMarked(mark) {
  const list = execFileSync("ps", ["-A", "-ww", "-o", "pgid=,args="], { encoding: "utf8", maxBuffer: 1 << 26 });
  const marked = list.split("\n").filter((line) => line.includes(mark));
  return new Set(marked.map((line) => Number.parseInt(line, 10)));
}

for await (const line of createInterface({ input: process.stdin })) {
  const entry = line.slice(2);
  if (line.startsWith("+ ")) {
    watched.add(entry);
    continue;
  }
  watched.delete(entry);
  if (!isGroup(entry)) end(entry);
  process.stdout.write(`${line}\n`);
}
for (const entry of watched) end(entry);
