/**
 * Loaded into firebase-tools before anything else. Its Functions emulator runs one event at a time in a process, and everything waits in
 * one queue, first come, first served. 1,000 orders take minutes, and a process that dies while it loads blocks others. This makes it
 * run functions as the cloud does:
 * - A function has one process, which handles many events at the same time. An error of one event does not end it.
 * - Each function has a queue of its own, and they take turns.
 * - A Firestore event is acknowledged when it is queued: the Firestore emulator sends the next one only then.
 * - A process that dies while it loads is replaced.
 * It prints QUEUE_BUSY and QUEUE_IDLE. Once functions run, the steps of each event are no longer logged (1.8 GB for 1,000 orders), and
 * log lines do not pile up in memory.
 */
const { createServer, ServerResponse } = require("node:http");
const { join } = require("node:path");

const QUEUE_BUSY = "functions: busy";
const QUEUE_IDLE = "functions: idle";
const MAX_STARTS = 5;

const ofTools = (name) => require(`firebase-tools/lib/${name}`);

/** The queues of all functions: takes from each in turn. */
class Turns {
  queues = new Map();
  length = 0;

  push(work) {
    // A type is the trigger and the time of its event.
    const name = (work.type ?? "").replace(/-\d{4}-\d\d-\d\dT.*/, "");
    if (!this.queues.has(name)) this.queues.set(name, []);
    this.queues.get(name).push(work);
    this.length++;
  }

  shift() {
    const [first] = this.queues;
    if (first === undefined) return undefined;
    const [name, queue] = first;
    const work = queue.shift();
    this.length--;
    this.queues.delete(name);
    if (queue.length > 0) this.queues.set(name, queue);
    return work;
  }
}

const { WorkQueue } = ofTools("emulator/workQueue");
const { submit, runNext } = WorkQueue.prototype;
WorkQueue.prototype.logState = () => {};
WorkQueue.prototype.getState = function () {
  return {
    queuedWork: [],
    queueLength: this.queue.length,
    runningWork: this.running,
    workRunningCount: this.running.length,
  };
};
WorkQueue.prototype.submit = function (work) {
  if (!(this.queue instanceof Turns)) this.queue = new Turns();
  if (!this.isWorking()) console.log(QUEUE_BUSY);
  submit.call(this, work);
};
WorkQueue.prototype.runNext = async function () {
  ofTools("logger").logger.debug = () => {};
  await runNext.call(this);
  if (!this.isWorking()) console.log(QUEUE_IDLE);
};

const { RuntimeWorker, RuntimeWorkerPool, RuntimeWorkerState } = ofTools("emulator/functionsRuntimeWorker");
const { waitForSocketReady } = RuntimeWorker.prototype;
/** The process of a function, also if it handles other events. */
RuntimeWorkerPool.prototype.getIdleWorker = function (triggerId, runtime) {
  this.cleanUpWorkers();
  const isReady = ({ state }) => state === RuntimeWorkerState.IDLE || state === RuntimeWorkerState.BUSY;
  return this.getTriggerWorkers(triggerId, runtime).find(isReady);
};
RuntimeWorker.prototype.waitForSocketReady = function () {
  const died = new Promise((_, reject) => {
    this.runtime.process.once("exit", () => reject(new Error("its process ended while it was loading")));
  });
  return Promise.race([waitForSocketReady.call(this), died]);
};

const { EmulatorLog } = ofTools("emulator/types");
const { fromJSON } = EmulatorLog;
/** A process that logs something FATAL is ended. An error of one event is no reason. */
EmulatorLog.fromJSON = (json) => {
  const log = fromJSON(json);
  if (log.level === "FATAL" && log.type === "runtime-error") log.level = "WARN";
  return log;
};
const { LoggingEmulator } = ofTools("emulator/loggingEmulator");
const { start: startLogging } = LoggingEmulator.prototype;
LoggingEmulator.prototype.start = async function () {
  await startLogging.call(this);
  this.transport.history = { push() {}, forEach() {} };
};

const { FunctionsEmulator } = ofTools("emulator/functionsEmulator");
const { createHubServer, handleHttpsTrigger, startNode, startRuntime } = FunctionsEmulator.prototype;
/** The path is in quotes, since it may contain spaces. */
const NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ""} --require ${JSON.stringify(join(__dirname, "quick-worker.cjs"))}`;
FunctionsEmulator.prototype.startNode = function (backend, env) {
  return startNode.call(this, backend, { ...env, NODE_OPTIONS });
};
const starting = new Map();
FunctionsEmulator.prototype.startRuntime = function (backend, trigger) {
  const start = async (starts) => {
    try {
      return await startRuntime.call(this, backend, trigger);
    } catch (error) {
      if (starts === MAX_STARTS) throw error;
      return start(starts + 1);
    }
  };
  if (!starting.has(trigger?.id)) {
    starting.set(
      trigger?.id,
      start(1).finally(() => starting.delete(trigger?.id)),
    );
  }
  return starting.get(trigger?.id);
};
FunctionsEmulator.prototype.handleHttpsTrigger = async function (request, response) {
  try {
    await handleHttpsTrigger.call(this, request, response);
  } finally {
    // It gives no answer if the function does not start, or its process has just ended.
    if (!response.headersSent) response.status(500).end();
  }
};
FunctionsEmulator.prototype.createHubServer = function () {
  const hub = createHubServer.call(this);
  const serve = (request, response) => {
    if (!isFirestoreEvent(request)) return hub(request, response);
    request.once("end", () => response.writeHead(200).end());
    // What the function answers later goes nowhere.
    hub(request, new ServerResponse(request));
  };
  hub.listen = (...address) => createServer(serve).listen(...address);
  return hub;
};

function isFirestoreEvent({ method, headers }) {
  return method === "POST" && String(headers["ce-type"] ?? "").startsWith("google.cloud.firestore.");
}
