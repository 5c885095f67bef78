import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { choosePorts, freePort, PORT_FLAGS } from "./free-ports.js";

describe("choosing ports", () => {
  let listening: Server;
  let taken: number;

  before(async () => {
    listening = createServer().listen(0, "127.0.0.1");
    await once(listening, "listening");
    taken = (listening.address() as AddressInfo).port;
  });

  after(() => void listening.close());

  it("gives each listener its own free port", async () => {
    const ports = Object.values(await choosePorts({ from: "auto" }));
    assert.equal(new Set(ports).size, 11);
  });

  it("never gives one port twice while this process lives, even if nothing listens on it", async () => {
    const blocks = await Promise.all(Array.from({ length: 50 }, () => choosePorts({ from: "auto" })));
    const ports = [...blocks.flatMap((block) => Object.values(block)), await freePort(), await freePort()];
    assert.equal(new Set(ports).size, ports.length);
  });

  it("names a taken port and its listener, and says how to choose another port", async () => {
    await assert.rejects(choosePorts({ from: "auto", chosen: { firestore: taken } }), {
      name: "StartError",
      message:
        `Port ${taken}, for the Firestore emulator, is taken. Stop the program that uses it (perhaps another run), ` +
        "or choose another with --firestore-port, or all with --ports-from auto.",
    });
  });

  it("ignores a port that the run does not need", async () => {
    await choosePorts({
      from: "auto",
      chosen: { foodService: taken },
      isNeeded: (listener) => listener !== "foodService",
    });
  });

  it("rejects one port for two listeners", async () => {
    const { hosting } = await choosePorts({ from: "auto" });
    await assert.rejects(
      choosePorts({ from: "auto", chosen: { hosting, auth: hosting } }),
      /is chosen twice: for the operators' page and for the Authentication emulator/,
    );
  });

  it("counts up from a first port", async () => {
    const { hosting: first } = await choosePorts({ from: "auto" });
    const ports = await choosePorts({ from: first });
    assert.deepEqual(
      Object.values(ports),
      Object.keys(ports).map((_, index) => first + index),
    );
  });

  it("uses the default ports if none are chosen, and free ones for listeners without a flag", async () => {
    const free = await choosePorts({ from: "auto" });
    const usual = Object.fromEntries(PORT_FLAGS.map(({ listener }) => [listener, free[listener]])) as typeof free;
    const ports = await choosePorts({ from: usual });
    for (const { listener } of PORT_FLAGS) assert.equal(ports[listener], free[listener]);
    assert.equal(new Set(Object.values(ports)).size, 11);
  });
});
