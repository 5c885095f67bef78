/** axe-core in a page of the console. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface AxeResults {
  violations: { id: string; impact: string; nodes: { html: string }[] }[];
}

/**
 * The serious findings on what is shown now.
 * @param rules the rules to check; all of them by default
 */
export async function accessibilityProblems(page: Page, rules?: string[]): Promise<string[]> {
  // Injected past the page's policy, which rightly allows no such thing.
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  const { violations } = await page.evaluate(
    (options) => (globalThis as unknown as { axe: { run(options: object): Promise<AxeResults> } }).axe.run(options),
    // All rules are checked, but only findings are described: that takes half of the time.
    { resultTypes: ["violations"], ...(rules && { runOnly: rules }) },
  );
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  return serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}
