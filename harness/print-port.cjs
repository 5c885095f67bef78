/** Required by a server that was started with port 0: prints the port that the system chose once it listens. */
const { Server } = require("node:net");

const { listen } = Server.prototype;
Server.prototype.listen = function (...args) {
  this.once("listening", () => console.log(`PORT ${this.address().port}`));
  return listen.apply(this, args);
};
