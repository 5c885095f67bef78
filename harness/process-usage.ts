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
 * @throws Error if none of it is left
 */
export function usageOf(group: number): Usage {
  return together(
    processes().filter((process) => process.group === group),
    `the process group ${group}`,
  );
}

/**
 * What a process and its children have used so far, those included that have ended. For servers such as PostgreSQL's, which
 * puts each child into a group of its own. Of several processes, the memory of the largest counts.
 * @throws Error if none of it is left
 */
export function usageOfFamily(pid: number): Usage {
  const family = processes().filter((process) => process.pid === pid || process.parent === pid);
  const usage = together(family, `the process ${pid}`);
  return { ...usage, cpu: usage.cpu + (family.find((process) => process.pid === pid)?.endedChildrenCpu ?? 0) };
}

interface Process extends Usage {
  pid: number;
  parent: number;
  group: number;
  endedChildrenCpu: number;
}

function together(members: Process[], what: string): Usage {
  if (members.length === 0) throw new Error(`${what} has ended.`);
  return {
    cpu: members.reduce((sum, { cpu }) => sum + cpu, 0),
    memory: Math.max(...members.map(({ memory }) => memory)),
  };
}

function processes(): Process[] {
  return readdirSync("/proc").flatMap((entry) => (/^\d+$/.test(entry) ? read(entry) : []));
}

function read(pid: string): Process[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The program's name, in brackets, may have any character in it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const milliseconds = (field: number) => Number(fields[field]) * TICK_MS;
    const [, kibibytes = "0"] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return [
      {
        pid: Number(pid),
        parent: Number(fields[1]),
        group: Number(fields[2]),
        cpu: milliseconds(11) + milliseconds(12),
        endedChildrenCpu: milliseconds(13) + milliseconds(14),
        memory: Number(kibibytes) / 1024,
      },
    ];
  } catch {
    // It ended while we looked.
    return [];
  }
}
