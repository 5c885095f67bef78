/**
 * A Bloom filter of seen names: constant memory for any number of names. It rarely mistakes a new name for a seen one; which names
 * depends on the seed.
 */
export class SeenNames {
  private readonly words: Uint32Array;
  private readonly mask: number;
  private readonly seed: number;

  /**
   * @param bytesLog2 the memory, as a power of two
   * @param bitsPerName the number of bits per name
   * @param seed from 0 up to 1
   */
  constructor(
    bytesLog2: number,
    private readonly bitsPerName: number,
    seed: number,
  ) {
    this.words = new Uint32Array(2 ** (bytesLog2 - 2));
    this.mask = 2 ** (bytesLog2 + 3) - 1;
    this.seed = Math.floor(seed * 2 ** 32) | 0;
  }

  /** Adds a name and returns whether it is new. Rarely, a new name is mistaken for one that was added before. */
  add(name: string): boolean {
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
