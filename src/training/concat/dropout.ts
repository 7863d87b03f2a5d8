/**
 * Attention dropout by a counter-based generator: whether an entry is dropped is a hash of (seed, step, hop, head, node,
 * neighbour), so it does not depend on threads, on the block's layout, or on a generator's state.
 */

/** One key for all entries of one head in one hop of one step. */
export function dropoutKey(seed: number, step: number, hop: 1 | 2, head: number): number {
  return mix(mix(mix(seed ^ 0x9e3779b9) + step) + 2 * head + hop);
}

/** True with probability 1 − rate. */
export function isKept(key: number, node: number, neighbour: number, rate: number): boolean {
  return mix(mix(key + node) + neighbour) >>> 0 >= rate * 2 ** 32;
}

/** Spreads every bit over all of them (the finaliser of MurmurHash3, A. Appleby). */
function mix(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
