/** Generates a params file for the Firebase CLI. Without a terminal, the CLI needs a value for each param. */
import { ALL_PARAMS } from "../functions/src/config.js";

/**
 * Every param below its description, with its default or the given value. Secrets are never written to files.
 * @param set values, each as NAME=VALUE
 * @throws RangeError for an unknown param, or text that is not NAME=VALUE
 */
export function paramsFile(set: readonly string[] = []): string {
  const values = new Map(set.map(assignment));
  const params = ALL_PARAMS.flatMap(({ name, options }) =>
    "default" in options ? [{ name, usual: String(options.default), description: options.description }] : [],
  );
  const names = params.map(({ name }) => name);
  for (const name of values.keys()) {
    if (!names.includes(name)) throw new RangeError(`${name} is no param. The params are ${names.join(", ")}.`);
  }
  const lines = params.flatMap(({ name, usual, description }) => [
    `# ${description}`,
    `${name}=${quoted(values.get(name) ?? usual)}`,
    "",
  ]);
  return lines.join("\n");
}

function assignment(text: string): [name: string, value: string] {
  const at = text.indexOf("=");
  if (at < 1) throw new RangeError(`"${text}" is not NAME=VALUE.`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function quoted(value: string): string {
  return `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
