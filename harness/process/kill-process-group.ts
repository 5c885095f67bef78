/** Ends processes at once: a whole group, or all whose command line has a text that no other program's has. */
import { execFileSync } from "node:child_process";

/** Ends what is left of a process group; one without a process is no failure. */
export function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Ends each process whose command line has one of these texts, with its group. */
export function killMarked(marks: string[]): void {
  if (marks.length === 0) return;
  for (const { pid, command } of processes()) {
    if (pid !== process.pid && marks.some((mark) => command.includes(mark))) killGroup(pid);
  }
}

function processes(): { pid: number; command: string }[] {
  const list = execFileSync("ps", ["-A", "-ww", "-o", "pid=,args="], { encoding: "utf8", maxBuffer: 1 << 26 });
  return list.split("\n").flatMap((line) => {
    const [, pid, command] = /^\s*(\d+)\s+(.*)$/.exec(line) ?? [];
    return pid === undefined || command === undefined ? [] : [{ pid: Number(pid), command }];
  });
}
