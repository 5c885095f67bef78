/** Counting over Firestore's REST interface, on the official emulator. */
import assert from "node:assert/strict";
import { countDocuments, writeDocuments } from "../../harness/emulators/firestore-rest.js";
import { EMULATOR_START_TIMEOUT_MS, emulators } from "../emulators.js";

const PROJECT = "demo-count";

describe("counting documents over REST", () => {
  let firestore: string;

  before(async function () {
    this.timeout(EMULATOR_START_TIMEOUT_MS);
    ({ firestore } = await emulators());
    const states = ["DELIVERED", "DELIVERED", "PREPARATION", "IN_FLIGHT"];
    const documents = states.map((state, index) => ({ path: `relations/${index}`, fields: { state } }));
    await writeDocuments(firestore, PROJECT, documents);
  });

  const count = (...oneOf: string[]) =>
    countDocuments(firestore, PROJECT, { collection: "relations", field: "state", oneOf });

  it("counts those whose field is one of the values", async () => {
    assert.deepEqual(await Promise.all([count("DELIVERED"), count("PREPARATION", "IN_FLIGHT")]), [2, 2]);
  });

  it("counts none if none matches", async () => {
    assert.equal(await count("CANCELLED"), 0);
  });
});
