/**
 * Loaded into firebase-tools before anything else. Its Functions emulator logs its whole queue whenever an event comes or a function
 * ends: with 1,000 events waiting that is 100 KB three times per event, and 97 % of the debug log. This leaves these lines out.
 */
try {
  require("firebase-tools/lib/emulator/workQueue").WorkQueue.prototype.logState = () => {};
} catch {
  // A firebase-tools that is built in another way only logs more.
}
