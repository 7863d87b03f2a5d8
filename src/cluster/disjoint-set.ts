/**
 * Connected components with their sizes, for one thread: union by size and path halving.
 * One Int32 a node: its parent, or minus the size of the component for a root.
 */
export class DisjointSet {
  private readonly links: Int32Array;

  constructor(nodeCount: number) {
    this.links = new Int32Array(nodeCount).fill(-1);
  }

  find(start: number): number {
    const { links } = this;
    let node = start;
    while (links[node] >= 0) {
      const parent = links[node];
      const above = links[parent];
      if (above < 0) return parent;
      links[node] = above;
      node = above;
    }
    return node;
  }

  /** Nodes in the component of `node`. */
  sizeOf(node: number): number {
    return -this.links[this.find(node)];
  }

  /** Makes the node a component of its own again. Only right when all nodes of its component are made so. */
  isolate(node: number): void {
    this.links[node] = -1;
  }

  /** Joins the components of a and b. False when they were one already. */
  unite(a: number, b: number): boolean {
    const { links } = this;
    let large = this.find(a);
    let small = this.find(b);
    if (large === small) return false;
    if (links[small] < links[large]) {
      const swap = large;
      large = small;
      small = swap;
    }
    links[large] += links[small];
    links[small] = large;
    return true;
  }
}
