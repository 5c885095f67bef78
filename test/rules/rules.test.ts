/** Checks firestore.rules for every collection, every kind of access and every role. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  assertFails,
  assertSucceeds,
  initializeTestEnvironment,
  type RulesTestContext,
  type RulesTestEnvironment,
} from "@firebase/rules-unit-testing";
import {
  collection,
  deleteDoc,
  doc,
  type Firestore,
  getDoc,
  getDocs,
  onSnapshot,
  query,
  setDoc,
  setLogLevel,
  updateDoc,
  where,
} from "firebase/firestore";
import { ATTEMPT_STATES } from "../../functions/src/attempts/attempt.js";
import { EMULATOR_START_TIMEOUT_MS, emulators } from "../emulators.js";

const PEOPLE = {
  "a signed-out user": undefined,
  "a user without a role": {},
  "a user with an unknown role": { role: "king" },
  "a user with a role that is not text": { role: ["operator"] },
  "a viewer": { role: "viewer" },
  "an operator": { role: "operator" },
} as const satisfies Record<string, object | undefined>;

const INSIDERS = ["a viewer", "an operator"];

/** Every collection that the functions write, what stands in it, and whether insiders may read it. */
const DOCUMENTS = {
  "relations/1": { kitchen: "kitchenorders/1", state: "PREPARATION" },
  "history/1": { order: "orders/1", state: "PREPARATION" },
  "attempts/kitchen:1": { order: "orders/1", state: "UNCERTAIN" },
  "attempts/kitchen:2": { order: "orders/2", state: "PARKED" },
  "attempts/kitchen:3": { order: "orders/3", state: "SENDING" },
  "attempts/kitchen:4": { order: "orders/4", state: "CLOSED" },
  "audit/1": { order: "orders/1", by: "ana" },
  "leases/poll": { holder: "x" },
  "leases/sweep": { holder: "x" },
  "leases/other": { holder: "x" },
  "statistics/hours": { hours: {} },
  "relations/1/below/1": { a: 1 },
  "elsewhere/1": { a: 1 },
} as const;

const READABLE = [
  "relations/1",
  "history/1",
  "attempts/kitchen:1",
  "attempts/kitchen:2",
  "leases/poll",
  "leases/sweep",
];

describe("firestore.rules", function () {
  this.timeout(30_000);
  let environment: RulesTestEnvironment;

  before(async function () {
    this.timeout(EMULATOR_START_TIMEOUT_MS);
    // What is denied is said by the tests, not by the client's log.
    setLogLevel("silent");
    const [host = "", port] = (await emulators()).firestore.split(":");
    environment = await initializeTestEnvironment({
      projectId: "demo-rules",
      firestore: { host, port: Number(port), rules: readFileSync("firestore.rules", "utf8") },
    });
    await environment.withSecurityRulesDisabled(async (context) => {
      const all = context.firestore() as unknown as Firestore;
      for (const [path, fields] of Object.entries(DOCUMENTS)) await setDoc(doc(all, path), fields);
    });
  });
  after(() => environment?.cleanup());

  for (const [who, claims] of Object.entries(PEOPLE)) {
    describe(`for ${who}`, () => {
      let firestore: Firestore;
      before(() => {
        const context: RulesTestContext = claims
          ? environment.authenticatedContext("user-1", claims)
          : environment.unauthenticatedContext();
        firestore = context.firestore() as unknown as Firestore;
      });
      const isInsider = INSIDERS.includes(who);

      for (const path of Object.keys(DOCUMENTS)) {
        const may = isInsider && READABLE.includes(path);
        it(`${may ? "show" : "hide"} ${path}`, async () => {
          const read = getDoc(doc(firestore, path));
          if (may) assert.ok((await assertSucceeds(read)).exists());
          else await assertFails(read);
        });

        it(`reject a write to ${path}`, async () => {
          await assertFails(setDoc(doc(firestore, path), { state: "PARKED" }));
          await assertFails(updateDoc(doc(firestore, path), { state: "PARKED" }));
          await assertFails(deleteDoc(doc(firestore, path)));
          await assertFails(setDoc(doc(firestore, `${path}-new`), { state: "PARKED" }));
        });
      }

      const lists: [what: string, insiders: boolean, ask: () => ReturnType<typeof query>][] = [
        ["all relations", true, () => query(collection(firestore, "relations"))],
        [
          "open relations",
          true,
          () => query(collection(firestore, "relations"), where("state", "in", ["PREPARATION"])),
        ],
        ["an order's history", true, () => query(collection(firestore, "history"), where("order", "==", "orders/1"))],
        [
          "the parked list",
          true,
          () => query(collection(firestore, "attempts"), where("state", "in", ["PARKED", "UNCERTAIN"])),
        ],
        ["all attempts", false, () => query(collection(firestore, "attempts"))],
        [
          "attempts of other states too",
          false,
          () => query(collection(firestore, "attempts"), where("state", "in", Object.keys(ATTEMPT_STATES))),
        ],
        ["the audit", false, () => query(collection(firestore, "audit"))],
        ["the leases", false, () => query(collection(firestore, "leases"))],
        ["a collection that the rules do not name", false, () => query(collection(firestore, "elsewhere"))],
      ];
      for (const [what, insiders, ask] of lists) {
        it(`${isInsider && insiders ? "list" : "don't list"} ${what}`, async () => {
          const found = getDocs(ask());
          if (isInsider && insiders) assert.ok((await assertSucceeds(found)).size > 0);
          else await assertFails(found);
        });

        it(`${isInsider && insiders ? "let" : "don't let"} them listen to ${what}`, async () => {
          const first = new Promise((resolve, reject) => {
            const stop = onSnapshot(
              ask(),
              { includeMetadataChanges: true },
              (found) => {
                // What the client has of earlier reads comes first, and proves nothing.
                if (found.metadata.fromCache) return;
                stop();
                resolve(found);
              },
              reject,
            );
          });
          await (isInsider && insiders ? assertSucceeds(first) : assertFails(first));
        });
      }
    });
  }
});
