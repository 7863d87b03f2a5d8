/**
 * How near a candidate must be to be kept, of rows whose candidates several ranks look for. A list that has met a part of the pairs keeps
 * candidates that all ranks together have no place for. So each tells, of each row, the similarities that 1/8, 2/8 … 8/8 of a
 * list reach, each of which stands for an eighth of a list; the eighth largest of all ranks' is then reached by as many different candidates as a
 * list holds, and what does not reach it is in no list in the end. *Marks* take the places of what is taken out: entries of that
 * similarity without a neighbour, which come after all candidates of the same similarity, and so are gone once the lists of
 * all ranks are merged.
 *
 * Similarities are the upper words of entries (see `offerTile`), 0 for none; L entries a list.
 */

const levels = 8;

/** `sortLists` has put lists [n × 2L] in order. Returns the similarities that so many eighths of each reach [n × 8]. */
export function reached(count: number, candidates: number, lists: Float32Array): Int32Array {
  const words = new Uint32Array(lists.buffer, lists.byteOffset, count * 2 * candidates);
  const found = new Int32Array(count * levels);
  for (let i = 0; i < count; i++) {
    for (let level = 0; level < levels; level++) {
      const place = Math.ceil(((level + 1) * candidates) / levels) - 1;
      const at = 2 * (i * candidates + place);
      // An empty place has no neighbour either.
      if (words[at] !== 0) found[i * levels + level] = words[at + 1];
    }
  }
  return found;
}

/** By what each rank has of some rows [n × 8 each], the similarity that L candidates of each row reach [n]. */
export function leastTogether(found: readonly Int32Array[]): Int32Array {
  const ranks = found.map(({ buffer, byteOffset, length }) => new Uint32Array(buffer, byteOffset, length));
  const least = new Uint32Array(ranks[0].length / levels);
  const all = new Uint32Array(levels * ranks.length);
  for (let i = 0; i < least.length; i++) {
    for (const [rank, words] of ranks.entries()) all.set(words.subarray(i * levels, (i + 1) * levels), rank * levels);
    least[i] = all.sort()[all.length - levels];
  }
  return new Int32Array(least.buffer);
}

/** Puts marks in the place of entries that do not reach what is wanted of each list. Heaps [n × 2L], the least entry first, stay heaps. */
export function raiseLists(candidates: number, lists: Float32Array, wanted: Int32Array): void {
  const words = new Uint32Array(lists.buffer, lists.byteOffset, lists.length);
  const least = new Uint32Array(wanted.buffer, wanted.byteOffset, wanted.length);
  for (let i = 0, at = 0; at < words.length; i++, at += 2 * candidates) {
    if (words[at + 1] >= least[i]) continue;
    for (let entry = at; entry < at + 2 * candidates; entry += 2) {
      if (words[entry + 1] >= least[i]) continue;
      words[entry] = 0;
      words[entry + 1] = least[i];
    }
  }
}
