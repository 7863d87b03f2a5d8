/**
 * Many names, packed: their UTF-8 bytes in blocks, and where each starts. A million paths take their own bytes and 12 more
 * each, and no object that a garbage collector would have to visit.
 */
import { requireMemory } from '../memory/available.js';
import { quoted } from './messages.js';

const blockBytes = 2 ** 22;

export class TextList {
  private readonly blocks: Buffer[] = [];
  /** Place of each name: block × blockBytes + byte within. A name lies in one block, and longer ones have one to themselves. */
  private starts = new Float64Array(2 ** 10);
  private lengths = new Uint32Array(2 ** 10);
  private count = 0;
  private used = blockBytes;

  get length(): number {
    return this.count;
  }

  add(name: string): void {
    const bytes = Buffer.byteLength(name);
    if (this.used + bytes > blockBytes) {
      this.blocks.push(Buffer.allocUnsafeSlow(Math.max(blockBytes, bytes)));
      this.used = 0;
    }
    if (this.count === this.starts.length) this.grow();
    const block = this.blocks.length - 1;
    this.blocks[block].write(name, this.used);
    this.starts[this.count] = block * blockBytes + this.used;
    this.lengths[this.count++] = bytes;
    this.used += bytes;
  }

  at(index: number): string {
    return this.bytes(index).toString();
  }

  bytes(index: number): Buffer {
    const block = Math.floor(this.starts[index] / blockBytes);
    const start = this.starts[index] - block * blockBytes;
    return this.blocks[block].subarray(start, start + this.lengths[index]);
  }

  private grow(): void {
    // Places and lengths of twice as many, and as many bytes again as their names have so far.
    requireMemory(24 * this.count + this.blocks.length * blockBytes, `${this.count} names of rows and as many more`);
    const starts = new Float64Array(2 * this.starts.length);
    starts.set(this.starts);
    this.starts = starts;
    const lengths = new Uint32Array(2 * this.lengths.length);
    lengths.set(this.lengths);
    this.lengths = lengths;
  }
}

/** Which place a name has in a list, by a hash table of places. */
export class TextIndex {
  private readonly slots: Int32Array;
  private readonly mask: number;
  /** Places whose name an earlier one has. */
  readonly repeated: Int32Array;

  constructor(private readonly list: TextList) {
    let size = 16;
    while (size < 2 * list.length) size *= 2;
    this.slots = new Int32Array(size).fill(-1);
    this.mask = size - 1;
    const repeated: number[] = [];
    for (let i = 0; i < list.length; i++) {
      const slot = this.slotOf(list.bytes(i));
      if (this.slots[slot] < 0) this.slots[slot] = i;
      else repeated.push(i);
    }
    this.repeated = Int32Array.from(repeated);
  }

  /** The first place of a name, −1 where it is none of the list. */
  find(name: Buffer): number {
    return this.slots[this.slotOf(name)];
  }

  /** The first name that occurs again, quoted for a message. */
  firstRepeated(): string {
    return quoted(this.list.at(this.repeated[0]));
  }

  /** The slot that holds a name, or the free one where it would be. */
  private slotOf(name: Buffer): number {
    let slot = hashOf(name) & this.mask;
    for (; this.slots[slot] >= 0; slot = (slot + 1) & this.mask) {
      if (this.list.bytes(this.slots[slot]).equals(name)) return slot;
    }
    return slot;
  }
}

/** FNV-1a over bytes, its bits mixed once more as a table takes the lowest. */
function hashOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
