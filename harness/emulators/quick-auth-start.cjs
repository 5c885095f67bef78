/**
 * Loaded into firebase-tools before anything else. Its Authentication emulator checks the description of its own API, which never
 * changes, against JSON Schema's meta-schema, and compiles that anew for each parameter: 8 seconds of each start. This skips the check.
 * It also compiles a check of each parameter of each request, another second. This compiles a check when it is needed first.
 */
const { createRequire } = require("node:module");

try {
  const ofTools = createRequire(require.resolve("firebase-tools"));
  const { default: Ajv } = createRequire(ofTools.resolve("exegesis"))("ajv");
  Ajv.prototype.validateSchema = () => true;
  const { compile } = Ajv.prototype;
  Ajv.prototype.compile = function (...schema) {
    let check;
    const lazily = (...value) => {
      check ??= compile.apply(this, schema);
      const isValid = check(...value);
      lazily.errors = check.errors;
      return isValid;
    };
    return lazily;
  };
} catch {
  // A firebase-tools that is built in another way only starts more slowly.
}
