/** Addresses in the form host:port: one parser for settings, programs and tests. */
import { isIPv4, isIPv6 } from "node:net";

export interface Address {
  /** A name or an IP address; an IPv6 address without its brackets. */
  host: string;
  /** 0 to 65535. */
  port: number;
}

/** DNS names, with the underscores that container networks use. */
const NAME = /^(?=.{1,253}$)\w([\w-]{0,61}\w)?(\.\w([\w-]{0,61}\w)?)*\.?$/;

/** Parses `host:port`; an IPv6 host is in brackets. Returns undefined for other text. */
export function parseAddress(text: string): Address | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]%]+)\]|([^\s:[\]]+)):(0|[1-9]\d{0,4})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535 || text.endsWith("\n")) return undefined;
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port } : undefined;
  if (plain === undefined) return undefined;
  // Only digits and dots: an IPv4 address or a typo, never a name.
  const isHost = /^[\d.]+$/.test(plain) ? isIPv4(plain) : NAME.test(plain);
  return isHost ? { host: plain, port } : undefined;
}
