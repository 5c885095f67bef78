/** What processes cost, as the operating system counts it. */
import { readdirSync, readFileSync } from "node:fs";

/** The unit of CPU time in /proc. Linux has shown it to programs as this on every machine for decades. */
const TICK_MS = 10;

export interface Usage {
  /** User and system time of all threads so far, in milliseconds. */
  cpu: number;
  /** The most memory that was resident at any moment, in MiB. */
  memory: number;
}

/**
 * What a process group has used so far. Of several processes, the memory of the largest counts.
 * @throws Error where none of it is left
 */
export function usageOf(group: number): Usage {
  const members = readdirSync("/proc").flatMap((entry) => (/^\d+$/.test(entry) ? processIn(entry, group) : []));
  if (members.length === 0) throw new Error(`Nothing is left of the process group ${group}.`);
  return {
    cpu: members.reduce((sum, { cpu }) => sum + cpu, 0),
    memory: Math.max(...members.map(({ memory }) => memory)),
  };
}

function processIn(pid: string, group: number): Usage[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The program's name, in brackets, may have any character in it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (Number(fields[2]) !== group) return [];
    const cpu = (Number(fields[11]) + Number(fields[12])) * TICK_MS;
    const [, kibibytes = "0"] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return [{ cpu, memory: Number(kibibytes) / 1024 }];
  } catch {
    // It ended while we looked.
    return [];
  }
}
