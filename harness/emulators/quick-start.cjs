/**
 * Loaded into firebase-tools before anything else, to leave out what takes long at each start and gives nothing here. A firebase-tools
 * that is built in another way only starts more slowly.
 */
const { createRequire } = require("node:module");

/**
 * The Authentication emulator checks the description of its own API, which never changes, against JSON Schema's meta-schema, anew for each
 * parameter: 8 seconds. This skips the check. It also compiles what checks each parameter: another second. This does so at the first use.
 */
function quickenAuthentication() {
  const ofTools = createRequire(require.resolve("firebase-tools"));
  const { default: Ajv } = createRequire(ofTools.resolve("exegesis"))("ajv");
  Ajv.prototype.validateSchema = () => true;
  const { compile } = Ajv.prototype;
  Ajv.prototype.compile = function (...schema) {
    let check;
    const checkLazily = (...value) => {
      check ??= compile.apply(this, schema);
      const isValid = check(...value);
      checkLazily.errors = check.errors;
      return isValid;
    };
    return checkLazily;
  };
}

/** The Functions emulator has npm look for newer versions of firebase-functions, and waits for it: a second or two. */
function skipNews() {
  require("firebase-tools/lib/deploy/functions/runtimes/node/versioning").getLatestSDKVersion = () => undefined;
}

for (const quicken of [quickenAuthentication, skipNews]) {
  try {
    quicken();
  } catch {
    // It has other files in this version.
  }
}
