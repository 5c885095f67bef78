/** The boundaries between the rooms of this project, each stated once. `npm run check` holds them. */
const SDKS = "node_modules/(firebase-functions|firebase-admin|@google-cloud/|@grpc/)";
const TESTS = "\\.test\\.ts$";

/** The rooms outside `functions/`, each with the rooms that it must not import: nothing runs back up. */
const ROOMS_ABOVE = {
  services: "harness|cli|local|simulation|chaos|bench|deploy|test|operator-console",
  harness: "cli|local|simulation|chaos|bench|test|operator-console",
  local: "cli|simulation|chaos|bench|test",
  cli: "simulation|chaos|bench|test",
  deploy: "cli|local|simulation|chaos|bench|test",
  simulation: "cli|local|chaos|bench|deploy|test",
  chaos: "cli|local|bench|deploy|test",
  bench: "cli|chaos|deploy|test",
  "operator-console": "services|harness|cli|local|simulation|chaos|bench|deploy|test",
};

/** The rooms of `functions/src`, each with the rooms that it must not import. */
const FUNCTIONS_ROOMS = {
  domain: "pipeline|relations|attempts|operator-api|adapters|testing",
  attempts: "pipeline|operator-api|adapters|testing",
  relations: "pipeline|operator-api|adapters|testing",
  pipeline: "operator-api|adapters|testing",
  "operator-api": "pipeline|adapters|testing",
  "adapters/memory": "adapters/firebase|operator-api|testing",
  "adapters/firebase": "adapters/memory|testing",
};

const forbid = (name, comment, from, to) => ({ name, comment, severity: "error", from, to });

module.exports = {
  forbidden: [
    forbid("no-cycles", "Two modules that need each other are one module, or hide a third.", {}, { circular: true }),
    forbid(
      "functions-alone",
      "functions/ is all that is deployed: it imports nothing from outside itself.",
      { path: "^functions/src/", pathNot: TESTS },
      { path: "^(services|harness|cli|local|simulation|chaos|bench|deploy|test|operator-console)/" },
    ),
    forbid(
      "sdks-in-their-adapter",
      "Only adapters/firebase imports the SDKs; config.ts declares params with one of them.",
      {
        path: "^functions/src/",
        pathNot: `^functions/src/(adapters/firebase/|config\\.ts|index\\.ts|generated/)|${TESTS}`,
      },
      { path: SDKS },
    ),
    forbid(
      "stages-apart",
      "Stages never import each other.",
      { path: "^functions/src/pipeline/(send-to-kitchen|dispatch-shipment|complete-order)\\.ts$" },
      { path: "^functions/src/pipeline/(send-to-kitchen|dispatch-shipment|complete-order|poll-orders)\\.ts$" },
    ),
    ...Object.entries(FUNCTIONS_ROOMS).map(([room, above]) =>
      forbid(
        `functions-${room.replace("/", "-")}`,
        "Imports inside functions/src run towards the domain.",
        { path: `^functions/src/${room}/`, pathNot: TESTS },
        { path: `^functions/src/(${above})/` },
      ),
    ),
    ...Object.entries(ROOMS_ABOVE).map(([room, above]) =>
      forbid(
        `room-${room}`,
        "No import runs back up; docs/design.md shows the rooms.",
        { path: `^${room}/`, pathNot: TESTS },
        { path: `^(${above})/` },
      ),
    ),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: {
      path: "^(node_modules|functions/(node_modules|lib|src/generated)|operator-console/dist|bench/peers/(restate|dbos|plain))/",
    },
    parser: "swc",
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { extensions: [".ts", ".mjs", ".js", ".cjs"] },
  },
};
