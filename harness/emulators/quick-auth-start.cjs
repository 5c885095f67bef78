/**
 * Loaded into firebase-tools before anything else. Its Authentication emulator checks the description of its own API, which never
 * changes, against JSON Schema's meta-schema, and compiles that anew for each parameter: 8 seconds of each start. This skips the check.
 */
const { createRequire } = require("node:module");

try {
  const ofTools = createRequire(require.resolve("firebase-tools"));
  const { default: Ajv } = createRequire(ofTools.resolve("exegesis"))("ajv");
  Ajv.prototype.validateSchema = () => true;
} catch {
  // A firebase-tools that is built in another way only starts more slowly.
}
