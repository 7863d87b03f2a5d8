import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { heaviestMatching, identitiesOf } from '../../src/cluster/identities.js';
import { relabel } from '../../src/cluster/relabel.js';

/** The greatest weight of all matchings, by trying them all. */
function heaviest(weights: readonly (readonly number[])[], row = 0, used: ReadonlySet<number> = new Set()): number {
  if (row === weights.length) return 0;
  let best = heaviest(weights, row + 1, used);
  weights[row].forEach((weight, column) => {
    if (weight > 0 && !used.has(column)) {
      best = Math.max(best, weight + heaviest(weights, row + 1, new Set([...used, column])));
    }
  });
  return best;
}

test('the matching is as heavy as any', () => {
  const tables = fc
    .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }), fc.constantFrom(3, 1000))
    .chain(([rows, columns, most]) =>
      fc.array(fc.array(fc.integer({ min: -most, max: most }), { minLength: columns, maxLength: columns }), {
        minLength: rows,
        maxLength: rows,
      }),
    );
  fc.assert(
    fc.property(tables, (table) => {
      const pairs = table.flatMap((row, i) => row.flatMap((weight, j) => (weight > 0 ? [{ i, j, weight }] : [])));
      const starts = table
        .map((_, i) => pairs.findIndex((pair) => pair.i >= i))
        .map((at) => (at < 0 ? pairs.length : at));
      const found = heaviestMatching({
        rowCount: table.length,
        columnCount: table[0].length,
        starts: [...starts, pairs.length],
        columns: pairs.map(({ j }) => j),
        weights: pairs.map(({ weight }) => weight),
      });
      const taken = [...found].filter((column) => column >= 0);
      assert.equal(new Set(taken).size, taken.length);
      const sum = found.reduce((total, column, row) => total + (column < 0 ? 0 : table[row][column]), 0);
      assert.equal(sum, heaviest(table));
      found.forEach((column, row) => void assert.ok(column < 0 || table[row][column] > 0));
    }),
    { numRuns: 2000 },
  );
});

function match(before: readonly number[], after: readonly number[], decided: readonly number[] = [], highest?: number) {
  const clusters = [...new Set(before.filter((id) => id >= 0))];
  const labels = Int32Array.from(after);
  relabel(labels);
  const sizes = Int32Array.from(clusters, (id) => before.filter((other) => other === id).length);
  const earlier = { ids: Int32Array.from(clusters), sizes, highest: highest ?? Math.max(-1, ...clusters) };
  const rows = Int32Array.from(after, (_, row) => ((before[row] ?? -1) < 0 ? -1 : clusters.indexOf(before[row])));
  const isDecided = Uint8Array.from(after, (_, row) => Number(decided.includes(row)));
  const found = identitiesOf(labels, rows, earlier, isDecided);
  return { ...found, labels: [...labels].map((label) => (label < 0 ? -1 : found.ids[label])) };
}

test('identities are kept, split, merged, new and gone', () => {
  //              kept      split          merged       gone  new
  const before = [4, 4, 4, 7, 7, 7, 7, 7, 2, 2, 2, 9, 9, 5, 5];
  const after = [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, -1, -1, 4, 4];
  const { labels, highest, changes } = match(before, after, [], 20);
  assert.deepEqual(labels, [4, 4, 4, 7, 7, 7, 21, 21, 2, 2, 2, 2, 2, -1, -1, 22, 22]);
  assert.equal(highest, 22);
  assert.deepEqual(changes, [
    { identity: 2, kind: 'kept', before: 3, after: 5, shared: 3 },
    { identity: 4, kind: 'kept', before: 3, after: 3, shared: 3 },
    { identity: 5, kind: 'gone', before: 2, after: 0, shared: 0 },
    { identity: 7, kind: 'kept', before: 5, after: 3, shared: 3 },
    { identity: 9, kind: 'merged', other: 2, before: 2, after: 0, shared: 2 },
    { identity: 21, kind: 'split', other: 7, before: 0, after: 2, shared: 2 },
    { identity: 22, kind: 'new', before: 0, after: 2, shared: 0 },
  ]);
});

test('an identity goes with the rows that were decided of, and of equals with the earlier', () => {
  assert.deepEqual(match([3, 3, 3, 3, 3], [0, 0, 0, 0, 1], [4]).labels, [4, 4, 4, 4, 3]);
  assert.deepEqual(match([3, 3, 3, 3], [0, 0, 1, 1]).labels, [3, 3, 4, 4]);
  assert.deepEqual(match([], [0, 0, 1]).labels, [0, 0, 1]);
  assert.deepEqual(
    match([1, 2], []).changes.map(({ kind }) => kind),
    ['gone', 'gone'],
  );
});

test('under random splits, merges, additions and removals ids stay, are unique, and are never given again', () => {
  const steps = fc.array(
    fc.record({
      kind: fc.constantFrom('split', 'merge', 'add', 'remove', 'move'),
      a: fc.nat(30),
      b: fc.nat(30),
      size: fc.integer({ min: 1, max: 5 }),
    }),
    { minLength: 1, maxLength: 12 },
  );
  fc.assert(
    fc.property(steps, (changes) => {
      let truth = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3];
      let labels = match([], truth).labels;
      let highest = Math.max(...labels);
      const ever = new Set(labels);
      let name = 100;
      for (const { kind, a, b, size } of changes) {
        const after = [...truth];
        const one = truth[a % truth.length];
        const other = truth[b % truth.length];
        const rows = truth.flatMap((id, row) => (id === one && id >= 0 ? [row] : []));
        if (kind === 'split') for (const row of rows.slice(0, size)) after[row] = name;
        if (kind === 'merge') for (const row of rows) after[row] = other;
        if (kind === 'add') for (let i = 0; i < size; i++) after.push(i % 2 ? name : other);
        if (kind === 'remove') for (const row of rows.slice(0, size)) after[row] = -1;
        if (kind === 'move') after[a % truth.length] = other;
        name++;
        const found = match(labels, after, [], highest);
        // One cluster, one identity.
        const ofIdentity = new Map<number, number>();
        found.labels.forEach((id, row) => {
          assert.equal(id < 0, after[row] < 0);
          if (id < 0) return;
          assert.equal(ofIdentity.get(id) ?? after[row], after[row]);
          ofIdentity.set(id, after[row]);
        });
        assert.equal(ofIdentity.size, new Set(after.filter((id) => id >= 0)).size);
        // What nothing happened to keeps its identity, and what is new was never there.
        for (const id of new Set(truth)) {
          const was = truth.flatMap((own, row) => (own === id ? [row] : []));
          const is = after.flatMap((own, row) => (own === id ? [row] : []));
          if (id >= 0 && String(was) === String(is)) assert.equal(found.labels[is[0]], labels[was[0]]);
        }
        for (const id of new Set(found.labels)) if (id >= 0 && !labels.includes(id)) assert.ok(!ever.has(id));
        for (const id of found.labels) ever.add(id);
        // Each identity of either side is told once, and rows add up.
        const told = found.changes.map(({ identity }) => identity);
        assert.deepEqual(
          told,
          [...new Set([...labels, ...found.labels])].filter((id) => id >= 0).sort((x, y) => x - y),
        );
        const sum = (of: 'before' | 'after') => found.changes.reduce((total, change) => total + change[of], 0);
        assert.equal(sum('before'), labels.filter((id) => id >= 0).length);
        assert.equal(sum('after'), found.labels.filter((id) => id >= 0).length);
        assert.ok(found.highest >= highest);
        ({ labels, highest } = found);
        truth = after;
      }
    }),
    { numRuns: 300 },
  );
});

test('identities that a label cannot hold are refused instead of wrapping', () => {
  const earlier = { ids: Int32Array.of(7), sizes: Int32Array.of(2), highest: 2 ** 31 - 2 };
  const before = Int32Array.of(0, 0, -1, -1);
  assert.deepEqual([...identitiesOf(Int32Array.of(0, 0, 1, 1), before, earlier).ids], [7, 2 ** 31 - 1]);
  assert.throws(() => identitiesOf(Int32Array.of(0, 0, 1, 2), before, earlier), {
    code: 'BAD_INPUT',
    message: /the next is 2147483648, expected at most 2147483647: label without an earlier run/,
  });
});
