/**
 * Builds lib/, which is deployed. It bundles the SDKs, so an instance reads a handful of files at its start instead of a
 * thousand. Dynamic imports become files of their own. docs/performance.md says what each part of this gains.
 */
import { realpathSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const [source, target] = ["src/index.ts", "lib"].map((path) => fileURLToPath(new URL(path, import.meta.url)));

/** Most of the packages are CommonJS and need what ES modules lack. */
const COMMON_JS = `
import { createRequire as makeRequire } from "node:module";
import { dirname as directoryOf } from "node:path";
import { fileURLToPath as pathOf } from "node:url";
const require = makeRequire(import.meta.url);
const __filename = pathOf(import.meta.url);
const __dirname = directoryOf(__filename);
`.trim();

/**
 * What packages load at every start although our functions never use it, with its replacement: gRPC's servers; the clients and messages
 * of three more services, which Google's clients create beside the requested one; uploads; Firestore's pipelines, with 2 MB of code
 * that only they use; and what firebase-functions does with documents and callers.
 */
const UNREACHED = [
  [/grpc-js\/.*\/(server|server-interceptors|orca)\.js$/, ""],
  [
    /google-gax\/.*\/(location|iam)Service\.js$/,
    "exports.LocationsClient = exports.IamClient = class { async close() {} };",
  ],
  [/google-gax\/.*\/protos\/(locations|iam_service|operations)\.js$/, ""],
  [/google-gax\/.*\/resumableUpload\.js$/, ""],
  [/firestore-api\/.*\/(protos\/protos|v1\/firestore_admin_client)\.js$/, ""],
  [/firestore\/.*\/firestore_v1_proto_api\.js$/, "exports.google = { firestore: { v1: {} } };"],
  [/firestore\/.*\/pipelines\/index\.js$/, "exports.Pipeline = class {};"],
  [/firestore\/.*\/pipelines\/pipeline-util\.js$/, 'exports.isString = (value) => typeof value === "string";'],
  [
    /firebase-functions\/protos\/compiledFirestore\.m?js$/,
    "export const google = { events: { cloud: { firestore: { v1: {} } } } };",
  ],
];
/** The parts of firebase-admin that firebase-functions imports. Our own code parses tokens and the documents in events. */
const ADMIN = ["applicationDefault", "deleteApp", "getApp", "initializeApp", "getAppCheck", "getAuth", "getFirestore"]
  .map((name) => `export const ${name} = undefined;`)
  .join("\n");

const leaveOutUnreached = {
  name: "leave out what is unreached",
  setup({ onLoad, onResolve }) {
    for (const [filter, contents] of UNREACHED) onLoad({ filter }, () => ({ contents }));
    // gRPC uses it only to describe itself to debuggers.
    onResolve({ filter: /^@grpc\/proto-loader$/ }, ({ path, importer }) =>
      importer.includes("grpc-js") ? { path, external: true } : undefined,
    );
    onResolve({ filter: /^firebase-admin\// }, ({ path, importer }) =>
      importer.includes("firebase-functions") ? { path, namespace: "unreached" } : undefined,
    );
    onLoad({ filter: /.*/, namespace: "unreached" }, () => ({ contents: ADMIN }));
  },
};

rmSync(target, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: [source],
  outdir: target,
  bundle: true,
  splitting: true,
  sourcemap: true,
  platform: "node",
  target: "node24",
  format: "esm",
  banner: { js: COMMON_JS },
  // An optional dependency.
  external: ["supports-color"],
  plugins: [leaveOutUnreached],
  logLevel: "warning",
  metafile: true,
});
// functions-framework requires CommonJS instead of importing it, which saves a tenth of a start's CPU.
writeFileSync(join(target, "index.cjs"), 'module.exports = require("./index.js");\n');

// If a package lacks a module, a node_modules folder further up may have it in another version.
const own = realpathSync(fileURLToPath(new URL("node_modules", import.meta.url)));
const foreign = Object.keys(metafile.inputs).find(
  (path) => path.includes("node_modules") && !resolve(path).startsWith(own),
);
if (foreign) throw new Error(`The functions' packages lack a module, and esbuild took ${foreign}`);
