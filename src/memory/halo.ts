/**
 * The local row numbers of one tile: each node that the tile reads gets the next free slot the first time it is seen.
 * A sparse set (Briggs & Torczon 1993): clearing is setting the count to zero, so a tile costs what it touches.
 */
export class Halo {
  /** Nodes by slot: ids[0..count). */
  readonly ids: Int32Array;
  count = 0;
  private readonly slotOfNode: Int32Array;

  constructor(nodeCount: number, capacity: number) {
    this.ids = new Int32Array(capacity);
    this.slotOfNode = new Int32Array(nodeCount);
  }

  clear(): void {
    this.count = 0;
  }

  slot(node: number): number {
    const slot = this.slotOfNode[node];
    if (slot < this.count && this.ids[slot] === node) return slot;
    this.ids[this.count] = node;
    this.slotOfNode[node] = this.count;
    return this.count++;
  }
}
