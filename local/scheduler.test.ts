import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Scheduler } from "./scheduler.js";

const SCHEDULED = { name: "poll", region: "europe-west1", schedule: { schedule: "* * * * *", timeZone: "UTC" } };

describe("the local scheduler", () => {
  let server: Server;
  let functions: string;
  let triggers: object[];
  let fired: IncomingMessage[];
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let trouble: string[];
  let scheduler: Scheduler | undefined;

  beforeEach(async () => {
    triggers = [SCHEDULED, { name: "onMessage", region: "europe-west1", eventTrigger: {} }];
    fired = [];
    trouble = [];
    answer = (_request, response) => void response.end();
    server = createServer((request, response) => {
      if (request.url === "/backends")
        return void response.end(JSON.stringify({ backends: [{ functionTriggers: triggers }] }));
      fired.push(request);
      answer(request, response);
      server.emit("fired");
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    functions = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(() => {
    scheduler?.stop();
    server.closeAllConnections();
    server.close();
  });

  async function open(interval?: number): Promise<Scheduler> {
    const onTrouble = (message: string) => void trouble.push(message);
    scheduler = await Scheduler.open({
      functions,
      project: "demo-x",
      intervals: interval === undefined ? {} : { poll: interval },
      onTrouble,
    });
    return scheduler;
  }

  it("fires functions with a schedule, and no others", async () => {
    const { functions: found } = await open();
    assert.deepEqual(found, [{ name: "poll", region: "europe-west1", schedule: "* * * * *", timeZone: "UTC" }]);
  });

  it("sends the same request as Cloud Scheduler", async () => {
    const ticks = await (await open()).tick();
    assert.deepEqual(ticks, [{ function: "poll", outcome: "ran", status: 200 }]);
    const [request] = fired;
    assert.equal(request?.method, "POST");
    assert.equal(request?.url, "/demo-x/europe-west1/poll-0");
    assert.equal(request?.headers["x-cloudscheduler"], "true");
    assert.equal(request?.headers["x-cloudscheduler-jobname"], "firebase-schedule-poll-europe-west1");
    assert.ok(!Number.isNaN(Date.parse(String(request?.headers["x-cloudscheduler-scheduletime"]))));
  });

  it("delays a function with an interval while others are busy", async () => {
    let busy = false;
    const intervals = { poll: 0.02 };
    const onTrouble = (message: string) => void trouble.push(message);
    scheduler = await Scheduler.open({ functions, project: "demo-x", intervals, isBusy: () => busy, onTrouble });
    scheduler.start();
    await once(server, "fired");
    busy = true;
    while (scheduler.counts.skipped < 5) await sleep(5);
    const count = fired.length;
    while (scheduler.counts.skipped < 10) await sleep(5);
    assert.equal(fired.length, count);
    busy = false;
    await once(server, "fired");
  });

  it("fires only the functions with an interval at that interval", async () => {
    triggers.push({ ...SCHEDULED, name: "sweep" });
    (await open(0.02)).start();
    await once(server, "fired");
    await once(server, "fired");
    assert.deepEqual(new Set(fired.map(({ url }) => url)), new Set(["/demo-x/europe-west1/poll-0"]));
  });

  it("fires immediately and then at the interval", async () => {
    (await open(0.05)).start();
    while (fired.length < 3) await once(server, "fired");
    assert.deepEqual(trouble, []);
  });

  it("skips and counts a tick if the previous one is still in progress", async () => {
    const scheduler = await open();
    let release = () => {};
    answer = (_request, response) => {
      release = () => void response.end();
    };
    const first = scheduler.tick();
    await once(server, "fired");
    const [second] = await scheduler.tick();
    assert.equal(second?.outcome, "skipped");
    release();
    assert.equal((await first)[0]?.outcome, "ran");
    assert.deepEqual(scheduler.counts, { ran: 1, failed: 0, skipped: 1 });
    assert.equal(fired.length, 1);
  });

  it("reports a failure and does not retry it", async () => {
    answer = (_request, response) => void response.writeHead(500).end();
    const scheduler = await open();
    assert.deepEqual(await scheduler.tick(), [{ function: "poll", outcome: "failed", status: 500 }]);
    assert.deepEqual(trouble, ["poll failed when it was fired: status 500"]);
    assert.equal(fired.length, 1);
  });

  it("survives the loss of the emulator", async () => {
    const scheduler = await open();
    server.closeAllConnections();
    server.close();
    await once(server, "close");
    const [tick] = await scheduler.tick();
    assert.equal(tick?.outcome, "failed");
    assert.match(trouble[0] ?? "", /^poll failed when it was fired: .*ECONNREFUSED/);
  });

  it("names a schedule that it can't parse", async () => {
    triggers = [
      { ...SCHEDULED, schedule: { schedule: "every blue moon" } },
      { ...SCHEDULED, name: "other" },
    ];
    const scheduler = await open();
    scheduler.start();
    assert.equal(trouble.length, 1);
    assert.match(trouble[0] ?? "", /^poll will not be fired\. The schedule "every blue moon" /);
  });

  it("leaves nothing that keeps the process alive after a stop", async () => {
    let closed: Promise<unknown> | undefined;
    answer = (_request, response) => {
      closed = once(response, "close");
    };
    const scheduler = await open(1000);
    scheduler.start();
    await once(server, "fired");
    scheduler.stop();
    await closed;
    assert.deepEqual(trouble, [], "a tick that was broken off is no trouble");
  });

  it("reports that no Functions emulator responds", async () => {
    server.removeAllListeners("request");
    server.on("request", (_request, response) => void response.end("{}"));
    await assert.rejects(open(), /is not a Functions emulator/);
  });
});
