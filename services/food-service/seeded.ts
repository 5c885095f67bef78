/** Seeded randomness: the same seed gives the same draws. */
import { createHash } from "node:crypto";
import type { Randomness } from "../../functions/src/ports.js";

export function seeded(seed: string): Randomness {
  let drawn = 0;
  const draw = () => createHash("sha256").update(`${seed}:${drawn++}`).digest();
  return {
    fraction: () => draw().readUIntBE(0, 6) / 2 ** 48,
    uuid: () => {
      const bytes = draw();
      // RFC 9562: version 4 and the variant are in fixed bits.
      bytes[6] = (bytes.readUInt8(6) & 0x0f) | 0x40;
      bytes[8] = (bytes.readUInt8(8) & 0x3f) | 0x80;
      return bytes.toString("hex", 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    },
  };
}
