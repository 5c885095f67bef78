/**
 * Builds lib/, which is what is deployed. The SDKs are in it: an instance that starts reads a handful of files instead of a
 * thousand. What is imported at its first use is a file of its own. docs/performance.md says what each part of this gives.
 */
import { realpathSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const [source, target] = ["src/index.ts", "lib"].map((path) => fileURLToPath(new URL(path, import.meta.url)));

/** Most of the packages are no ES modules: they ask for what those lack. */
const COMMON_JS = `
import { createRequire as makeRequire } from "node:module";
import { dirname as directoryOf } from "node:path";
import { fileURLToPath as pathOf } from "node:url";
const require = makeRequire(import.meta.url);
const __filename = pathOf(import.meta.url);
const __dirname = directoryOf(__filename);
`.trim();

/**
 * What packages load at every start and no function of ours ever reaches, with what stands in its place: the servers of gRPC; clients
 * of three more services, which Google's clients make beside the one that was asked for, with the messages of those services;
 * uploads; Firestore's pipelines, with 2 MB of code that only they use; and what firebase-functions does with documents and callers.
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
/** What firebase-functions would ask of firebase-admin. Our own code looks at tokens and at the documents in events. */
const ADMIN = ["applicationDefault", "deleteApp", "getApp", "initializeApp", "getAppCheck", "getAuth", "getFirestore"]
  .map((name) => `export const ${name} = undefined;`)
  .join("\n");

const leaveOutUnreached = {
  name: "leave out what is unreached",
  setup({ onLoad, onResolve }) {
    for (const [filter, contents] of UNREACHED) onLoad({ filter }, () => ({ contents }));
    // gRPC has it to describe itself to debuggers.
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
  // A package may do without it.
  external: ["supports-color"],
  plugins: [leaveOutUnreached],
  logLevel: "warning",
  metafile: true,
});
// Required instead of imported by functions-framework, which spares a start a tenth of its CPU.
writeFileSync(join(target, "index.cjs"), 'module.exports = require("./index.js");\n');

// Where a package lacks a module, a node_modules further up may have it, in another version.
const own = realpathSync(fileURLToPath(new URL("node_modules", import.meta.url)));
const foreign = Object.keys(metafile.inputs).find(
  (path) => path.includes("node_modules") && !resolve(path).startsWith(own),
);
if (foreign) throw new Error(`The functions' packages lack a module, and esbuild took ${foreign}`);
