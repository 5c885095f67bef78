/** The package registry's advisories about the uploaded packages. */
import { spawnSync } from "node:child_process";
import { ROOT } from "../../harness/root.js";

export interface Audit {
  /** "unreachable" when the registry gave no answer. */
  result: "clean" | "vulnerable" | "unreachable";
  /** The packages with a serious vulnerability. */
  vulnerabilities: string[];
}

/** Audits the functions' runtime dependencies, without development dependencies. */
export function auditFunctions(): Audit {
  const args = ["audit", "--prefix", `${ROOT}/functions`, "--omit=dev", "--json"];
  const report = parsed(spawnSync("npm", args, { encoding: "utf8" }).stdout);
  if (!report?.vulnerabilities) return { result: "unreachable", vulnerabilities: [] };
  const serious = Object.entries(report.vulnerabilities).filter(([, { severity }]) =>
    /^(high|critical)$/.test(severity),
  );
  const vulnerabilities = serious.map(([name]) => name);
  return { result: vulnerabilities.length === 0 ? "clean" : "vulnerable", vulnerabilities };
}

function parsed(text: string): { vulnerabilities?: Record<string, { severity: string }> } | undefined {
  try {
    return JSON.parse(text) as ReturnType<typeof parsed>;
  } catch {
    return undefined;
  }
}
