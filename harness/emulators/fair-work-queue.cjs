/**
 * Loaded into firebase-tools before anything else. Its Functions emulator has one queue for all functions, first come, first served:
 * with 1,000 messages waiting, every Firestore event and every poll waits for all of them, and the Firestore emulator sends the next
 * few events only then. In the cloud each function has a queue of its own. This serves the functions in turn.
 * It also logs the whole queue three times per event: with 1,000 waiting, 97 % of the debug log. This leaves these lines out.
 */
try {
  const { WorkQueue } = require("firebase-tools/lib/emulator/workQueue");
  const { runNext } = WorkQueue.prototype;
  const lastTurns = new Map();
  let turn = 0;
  // A type is the trigger and the time of its event.
  const functionOf = ({ type = "" }) => type.replace(/-\d{4}-\d\d-\d\dT.*/, "");
  WorkQueue.prototype.runNext = function () {
    const turnOf = (work) => lastTurns.get(functionOf(work)) ?? 0;
    let first = 0;
    for (let at = 1; at < this.queue.length; at++) {
      if (turnOf(this.queue[at]) < turnOf(this.queue[first])) first = at;
    }
    if (this.queue.length > 0) {
      const [next] = this.queue.splice(first, 1);
      this.queue.unshift(next);
      lastTurns.set(functionOf(next), ++turn);
    }
    return runNext.call(this);
  };
  WorkQueue.prototype.logState = () => {};
} catch {
  // A firebase-tools that is built in another way is only slower.
}
