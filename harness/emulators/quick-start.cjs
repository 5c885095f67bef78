/**
 * Loaded into firebase-tools before anything else, to leave out what takes long at each start and gives nothing here. A firebase-tools
 * that is built in another way only starts more slowly.
 */
const { createRequire, flushCompileCache } = require("node:module");

/** The suite runs for a long time, and Node.js saves the code that it has compiled at the end only. */
const SAVE_CODE_AFTER_MS = 5_000;
// This does nothing unless NODE_COMPILE_CACHE is set.
setTimeout(flushCompileCache, SAVE_CODE_AFTER_MS).unref();

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

/** firebase-tools compiles a schema, which takes a second, to mention unknown settings of firebase.json in its debug log. */
function skipCheckOfConfiguration() {
  require("firebase-tools/lib/firebaseConfigValidate").getValidator = () => () => true;
}

for (const quicken of [quickenAuthentication, skipNews, skipCheckOfConfiguration]) {
  try {
    quicken();
  } catch {
    // It has other files in this version.
  }
}
