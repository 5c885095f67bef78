/**
 * Keeps a Node.js process on this machine: preloaded with --require, it turns every connection to another machine into one
 * to the stand-in for Google's APIs, or to the local server that stands for the host. Only hosts that REHEARSAL_ROUTES lets
 * pass, such as the package registry, are reached.
 */
const dns = require("node:dns");
const net = require("node:net");

/** @type {{ https: number, http: number, pass: string[], hosts: Record<string, number> }} */
const routes = JSON.parse(process.env.REHEARSAL_ROUTES ?? "null");

const isHere = (host) => !host || host === "localhost" || host === "::1" || host === "[::1]" || /^127\./.test(host);

/** Each host with a server of its own gets an address of its own, since clients may look the name up before they connect. */
const addresses = Object.keys(routes.hosts).map((host) => host.split(":")[0]);
const addressOf = (host) => (addresses.includes(host) ? `127.77.0.${addresses.indexOf(host) + 1}` : undefined);

/** The local port for a connection, undefined when it may go where it wants to. */
function localPort(host, port) {
  for (const [at, name] of addresses.entries()) {
    if (host === name || host === `127.77.0.${at + 1}`) return routes.hosts[`${name}:${port}`];
  }
  if (isHere(host) || routes.pass.includes(host)) return undefined;
  return Number(port) === 80 ? routes.http : routes.https;
}

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function connectLocally(...args) {
  const [first] = args;
  const isNormalized = Array.isArray(first);
  const options = isNormalized ? first[0] : typeof first === "object" ? first : { port: first, host: args[1] };
  if (typeof options.port === "undefined" || options.path) return connect.apply(this, args);
  const port = localPort(options.host, options.port);
  if (port === undefined) return connect.apply(this, args);
  const { lookup: _, ...others } = options;
  const redirected = { ...others, host: "127.0.0.1", port };
  if (!isNormalized) return connect.call(this, redirected, ...args.filter((arg) => typeof arg === "function"));
  const normalized = [redirected, ...first.slice(1)];
  for (const symbol of Object.getOwnPropertySymbols(first)) normalized[symbol] = first[symbol];
  return connect.call(this, normalized, ...args.slice(1));
};

const lookup = dns.promises.lookup;
dns.promises.lookup = async (host, options) => {
  const address = addressOf(host);
  if (!address) return lookup(host, options);
  return options?.all ? [{ address, family: 4 }] : { address, family: 4 };
};
