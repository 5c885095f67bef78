/** Prints a PATH on which `node` is new enough for this project's programs, and installs that Node.js if this machine's own is too old. */
import { OLDEST_NODE, pathWithNode } from "./install-node.mjs";

try {
  console.log(pathWithNode());
} catch (error) {
  console.error(`${error.message}\nInstall Node.js ${OLDEST_NODE} or newer yourself: see https://nodejs.org.`);
  process.exitCode = 1;
}
