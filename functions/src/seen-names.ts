/** Which names were seen, in constant memory however many there are. */

/** As many names are few. Most polls see no more, and need not allocate the filter. */
const FEW = 1_000;

/**
 * Stores a few names as they are, and more of them in a Bloom filter: it takes a new name for a seen one now and then, and which ones
 * depends on the seed.
 */
export class SeenNames {
  private few: Set<string> | undefined = new Set();
  private words = new Uint32Array(0);
  private readonly mask: number;
  private readonly seed: number;

  /**
   * @param bytesLog2 the memory of the filter, as a power of two
   * @param bitsPerName how many bits stand for a name
   * @param seed from 0 up to 1
   */
  constructor(
    private readonly bytesLog2: number,
    private readonly bitsPerName: number,
    seed: number,
  ) {
    this.mask = 2 ** (bytesLog2 + 3) - 1;
    this.seed = Math.floor(seed * 2 ** 32) | 0;
  }

  /** Adds a name. Whether it is new; rarely, a name that is new is taken for one that was added before. */
  add(name: string): boolean {
    if (this.few === undefined) return this.addToFilter(name);
    if (this.few.has(name)) return false;
    this.few.add(name);
    if (this.few.size > FEW) {
      this.words = new Uint32Array(2 ** (this.bytesLog2 - 2));
      for (const seen of this.few) this.addToFilter(seen);
      this.few = undefined;
    }
    return true;
  }

  private addToFilter(name: string): boolean {
    // Two hashes of the name, in one go; the bits are at equal steps from one of them.
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
    for (let bit = 0; bit < this.bitsPerName; bit++) {
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
