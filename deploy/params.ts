/** The params as a file that the Firebase CLI reads: where nobody can be asked, it wants a value for each. */
import { ALL_PARAMS } from "../functions/src/config.js";

/** Every param with its default, under what it is. Secrets are not kept in files. */
export function paramsFile(): string {
  const lines = ALL_PARAMS.flatMap(({ name, options }) =>
    "default" in options ? [`# ${options.description}`, `${name}="${options.default}"`, ""] : [],
  );
  return lines.join("\n");
}
