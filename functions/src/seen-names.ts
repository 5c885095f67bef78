/** A set of seen names in constant memory. */

/** The number of names that are stored exactly. Most polls see no more, so they allocate no filter. */
const MAX_EXACT = 1_000;

/** The number of bits per name in the filter. */
const BITS_PER_NAME = 8;

/**
 * The names that were seen, in constant memory for any number of names. The first ones are stored exactly. More of them are in a Bloom
 * filter, which rarely mistakes a new name for a seen one; which names depends on the seed.
 */
export class SeenNames {
  /** Undefined once the filter is in use. */
  private exact: Set<string> | undefined = new Set();
  private words = new Uint32Array(0);
  private readonly mask: number;
  private readonly seed: number;

  /**
   * @param bytesLog2 the memory of the filter, as a power of two
   * @param seed from 0 up to 1, 0 by default
   */
  constructor(
    private readonly bytesLog2: number,
    seed = 0,
  ) {
    this.mask = 2 ** (bytesLog2 + 3) - 1;
    this.seed = Math.floor(seed * 2 ** 32) | 0;
  }

  /** Adds a name and returns whether it is new. Rarely, a new name is mistaken for one that was added before. */
  add(name: string): boolean {
    if (this.exact === undefined) return this.addToFilter(name);
    if (this.exact.has(name)) return false;
    this.exact.add(name);
    if (this.exact.size > MAX_EXACT) {
      this.words = new Uint32Array(2 ** (this.bytesLog2 - 2));
      for (const seen of this.exact) this.addToFilter(seen);
      this.exact = undefined;
    }
    return true;
  }

  private addToFilter(name: string): boolean {
    // Two hashes of the name at once; the bits are at equal steps from one of them.
    let at = this.seed ^ 0x811c9dc5;
    let step = ~this.seed;
    for (let index = 0; index < name.length; index++) {
      const code = name.charCodeAt(index);
      at = Math.imul(at ^ code, 0x01000193);
      step = Math.imul(step ^ code, 0x85ebca6b) ^ (step >>> 13);
    }
    at = Math.imul(at ^ (at >>> 16), 0xc2b2ae35);
    at ^= at >>> 15;
    step |= 1;
    let isNew = false;
    for (let bit = 0; bit < BITS_PER_NAME; bit++) {
      const position = at & this.mask;
      const word = position >>> 5;
      const one = 1 << (position & 31);
      const before = this.words[word] ?? 0;
      if ((before & one) === 0) {
        this.words[word] = before | one;
        isNew = true;
      }
      at = (at + step) | 0;
    }
    return isNew;
  }
}
