/** Randomness from a seed: the same seed gives the same run. */
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { skipN } from "pure-rand/utils/skipN";
import type { Randomness } from "../../ports.js";

/** A source of random numbers and UUIDs (version 4 in form) that is the same for the same seed. */
export function seededRandomness(seed: number): Randomness {
  const generator = xoroshiro128plus(seed);
  // The first numbers of adjacent seeds are similar.
  skipN(generator, 20);
  const hex = (bits: number) =>
    uniformInt(generator, 0, 2 ** bits - 1)
      .toString(16)
      .padStart(bits / 4, "0");
  return {
    fraction: () => uniformFloat64(generator),
    uuid: () => `${hex(32)}-${hex(16)}-4${hex(12)}-a${hex(12)}-${hex(32)}${hex(16)}`,
  };
}
