/** Lists that several ranks raise keep every entry that all of them together have a place for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { leastTogether, raiseLists, reached } from '../../src/knn/raise-lists.js';

/** The best entries of some, by falling key; 0 where there are fewer. */
function best(entries: readonly bigint[], length: number): bigint[] {
  const sorted = [...entries].sort((a, b) => (a < b ? 1 : -1));
  return Array.from({ length }, (_, at) => sorted[at] ?? 0n);
}

const floats = (entries: readonly bigint[]) => new Float32Array(BigUint64Array.from(entries).buffer);
const keys = (lists: Float32Array) => [...new BigUint64Array(lists.buffer)];

test('what is taken out of the lists of ranks is in no list of all of them', () => {
  const entry = fc.record({ similarity: fc.integer({ min: 1, max: 9 }), rank: fc.integer({ min: 0, max: 2 }) });
  const cases = fc.record({ entries: fc.array(entry, { maxLength: 60 }), length: fc.integer({ min: 1, max: 20 }) });
  fc.assert(
    fc.property(cases, ({ entries, length }) => {
      // Numbers tell equal similarities apart, as ids do.
      const all = entries.map(({ similarity }, id) => (BigInt(similarity) << 32n) | BigInt(id + 1));
      const lists = [0, 1, 2].map((rank) =>
        best(
          all.filter((_, at) => entries[at].rank === rank),
          length,
        ),
      );
      for (let pass = 0; pass < 2; pass++) {
        const least = leastTogether(lists.map((list) => reached(1, length, floats(list))));
        for (const [rank, list] of lists.entries()) {
          const heap = floats(list.toReversed());
          raiseLists(length, heap, least);
          lists[rank] = keys(heap).toReversed();
          assert.deepEqual(lists[rank], best(lists[rank], length), 'what was in order stays so');
        }
        const isCandidate = (key: bigint) => (key & 0xffffffffn) !== 0n;
        assert.deepEqual(best(lists.flat().filter(isCandidate), length), best(all, length));
      }
    }),
  );
});
