/**
 * Loaded into the process of each function before firebase-tools' own code. That code needs a few small modules of firebase-tools, which
 * import some 1,100 others, and take longer to load than the functions. This loads a module of firebase-tools when it is first used.
 */
const Module = require("node:module");
const { dirname, join, sep } = require("node:path");

const tools = join(dirname(require.resolve("firebase-tools/package.json")), "lib") + sep;
const { _load: load } = Module;

/** A worker is killed when the suite stops, and Node.js saves the code that it has compiled at an orderly end only. */
const SAVE_CODE_AFTER_MS = 1_000;
// This does nothing unless NODE_COMPILE_CACHE is set.
setTimeout(Module.flushCompileCache, SAVE_CODE_AFTER_MS).unref();

Module._load = (request, parent, isMain) => {
  const isOfTools = request.startsWith(".") && parent?.filename?.startsWith(tools);
  return isOfTools ? loadedLater(() => load(request, parent, isMain)) : load(request, parent, isMain);
};

/** Stands for the exports of a module. All of firebase-tools' modules export plain objects. */
function loadedLater(loadNow) {
  let exports;
  const use =
    (trap) =>
    (_, ...rest) => {
      exports ??= loadNow();
      return trap(exports, ...rest);
    };
  return new Proxy(
    {},
    {
      get: use(Reflect.get),
      has: use(Reflect.has),
      ownKeys: use(Reflect.ownKeys),
      set: use(Reflect.set),
      getOwnPropertyDescriptor: use((object, name) => {
        const found = Reflect.getOwnPropertyDescriptor(object, name);
        // The stand-in does not have it, so it must not be fixed.
        return found && { ...found, configurable: true };
      }),
    },
  );
}
