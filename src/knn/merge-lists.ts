/** Lists that were found apart, made one: as if every pair of either had been offered to one list. */

/** `sortLists` has put both in order [count × 2k]. The best k of the two, each once, take the place of `into`, in order. */
export function mergeLists(count: number, k: number, into: Float32Array, from: Float32Array): void {
  const [own, other] = [wordsOf(into), wordsOf(from)];
  const merged = new Uint32Array(2 * k);
  for (let i = 0; i < count; i++) {
    const start = 2 * i * k;
    // The others are all worse than a full list often enough.
    const last = start + 2 * (k - 1);
    if (compare(own, last, other, start) > 0) continue;
    let [a, b] = [start, start];
    for (let at = 0; at < 2 * k; at += 2) {
      const order = compare(own, a, other, b);
      const [words, place] = order >= 0 ? [own, a] : [other, b];
      merged[at] = words[place];
      merged[at + 1] = words[place + 1];
      if (order >= 0) a += 2;
      if (order <= 0) b += 2;
    }
    own.set(merged, start);
  }
}

/** Above 0 where the first is the better of two entries, 0 where they are the same one. */
function compare(own: Uint32Array, a: number, other: Uint32Array, b: number): number {
  return own[a + 1] - other[b + 1] || own[a] - other[b];
}

function wordsOf({ buffer, byteOffset, length }: Float32Array): Uint32Array {
  return new Uint32Array(buffer, byteOffset, length);
}
