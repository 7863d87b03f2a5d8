import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { mapNodes } from '../../src/graph/node-map.js';
import { openItems } from '../../src/io/items.js';
import { constraintsOf, readDecidedRows } from '../../src/jobs/decided-rows.js';
import { temporaryFolder } from '../io/python.js';

type Line = Record<string, unknown>;

const names = ['a', 'b', 'c', 'd', 'e', 'f'];

async function decidedOf(t: TestContext, lines: readonly Line[], within?: string) {
  const folder = temporaryFolder(t);
  const [path, itemsFile] = [join(folder, 'decisions.jsonl'), join(folder, 'items.csv')];
  const time = '2026-11-26T21:40:12.345Z';
  writeFileSync(path, lines.map((line, i) => `${JSON.stringify({ id: `${i}`, time, ...line })}\n`).join(''));
  writeFileSync(
    itemsFile,
    `item,photo\n${names.map((name, row) => `${name},${[1, 1, 2, -1, 2, -1][row]}\n`).join('')}`,
  );
  const notices: string[] = [];
  const decided = await readDecidedRows(
    { constraints: path, cannotLinkWithin: within },
    { rowCount: 6, items: await openItems(itemsFile), itemsFile },
    (notice) => notices.push(notice),
  );
  return { decided: decided!, notices };
}

test('decisions hold through items that are not in the set, and for all rows of a group', async (t) => {
  const lines = [
    { kind: 'same', items: ['a', 'gone'] },
    { kind: 'same', items: ['gone', 2] },
    { kind: 'different', items: ['gone'], from: ['d', 'e'] },
    { kind: 'name', items: ['f'], name: 'Ada' },
    { kind: 'name', items: ['b'], name: 'Ada' },
    { kind: 'name', items: ['lost'], name: 'Bob' },
  ];
  const { decided, notices } = await decidedOf(t, lines);
  assert.match(notices.join(), /2 of 7 items that were decided of are not in this set/);
  const { constraints, names: named } = constraintsOf(decided);
  assert.deepEqual([...constraints.firsts], [0, 1, 0, 3, 4, 1]);
  assert.deepEqual([...constraints.lasts], [2, 5, 2, 3, 4, 5]);
  assert.deepEqual([...constraints.decided], [1, 1, 1, 0, 0, 1]);
  assert.deepEqual(named, [{ row: 1, name: 'Ada' }]);
  // Row 0 is kept apart for the item that is gone, b and f from whoever is Bob.
  assert.deepEqual([...constraints.offsets], [0, 1, 2, 2, 3, 4, 4]);
});

test('a contradiction through a chain of 100,000 names is told at once', async (t) => {
  const most = 100_000;
  const links = Array.from({ length: most }, (_, i) => ({ kind: 'same', items: [`z${i}`, `z${i + 1}`] }));
  const { decided } = await decidedOf(t, [...links, { kind: 'different', items: ['z0', `z${most}`] }]);
  let named = 0;
  const counted = {
    ...decided,
    nameOf: (place: number) => {
      named++;
      return decided.nameOf(place);
    },
  };
  assert.throws(() => constraintsOf(counted), {
    code: 'CONTRADICTION',
    message: /'z9' = 'z10' \(line 10\), 99980 more, 'z99990' = 'z99991' \(line 99991\), .*: take one of these/,
  });
  // A name is found by a look through all of them.
  assert.ok(named < 100, `${named} places were named`);
});

test('contradictions are told with the chain that makes them', async (t) => {
  const refused = async (lines: readonly Line[], message: RegExp, within?: string) => {
    const { decided } = await decidedOf(t, lines, within);
    assert.throws(() => constraintsOf(decided), { code: 'CONTRADICTION', exitCode: 2, message });
  };
  const chain = [
    { kind: 'same', items: ['a', 'b'] },
    { kind: 'same', items: ['b', 'gone', 'd'] },
    { kind: 'name', items: ['d'], name: 'Ada' },
    { kind: 'name', items: ['e', 'f'], name: 'Ada' },
  ];
  await refused(
    [{ kind: 'different', items: ['a', 'c', 'e'] }, ...chain],
    /decisions\.jsonl: line 1: says that 'a' and 'e' are different identities, but they are one: 'a' = 'b' \(line 2\), 'b' = 'd' \(line 3\), 'd' = 'e' \(both 'Ada', lines 4, 5\): take one of these decisions back by an undo$/,
  );
  await refused(
    [...chain, { kind: 'name', items: ['a'], name: 'Bob' }],
    /: 'd' is named 'Ada' and 'a' is named 'Bob', but they are one identity: 'd' = 'b' \(line 2\), 'b' = 'a' \(line 1\)/,
  );
  await refused(chain, /: 'a' and 'b' have the same photo '1', which .*'a' = 'b' \(line 1\)/, 'photo');
  await refused([{ kind: 'different', items: ['a', 'a'] }], /line 1: says that 'a' is not the identity of itself/);
  const names = ['Ada', 'Bob'].map((name) => ({ kind: 'name', items: ['a'], name }));
  await refused(names, /: 'a' is named 'Ada' and 'Bob', expected one name/);
  // A decision of more items than a call takes arguments.
  const many = ['a', ...Array.from({ length: 150_000 }, (_, i) => `gone ${i}`), 'b'];
  await refused(
    [
      { kind: 'different', items: ['a', 'b'] },
      { kind: 'name', items: many, name: 'Ada' },
    ],
    /'a' = 'b' \(both 'Ada', line 2\)/,
  );
  const { decided } = await decidedOf(t, [{ kind: 'different', items: ['a', 'b'] }]);
  const copies = mapNodes(6, new Int32Array(0), Int32Array.of(0, 0, 2, 3, 4, 5));
  assert.throws(() => constraintsOf(decided, copies), {
    code: 'CONTRADICTION',
    message: /'a' = 'b' \(equal to the bit\): .*--duplicates keep/,
  });
});

test('rows of one value of a column are kept apart; copies of one row count once, and −1 is no value', async (t) => {
  const { decided } = await decidedOf(t, [], 'photo');
  const { constraints } = constraintsOf(decided);
  assert.deepEqual([...constraints.offsets], [0, 1, 2, 3, 3, 4, 4]);
  assert.deepEqual([...constraints.sets], [1, 1, 2, 2]);
  const copies = mapNodes(6, Int32Array.of(4), Int32Array.of(0, 0, 2, 3, 4, 5));
  const { constraints: ofNodes } = constraintsOf(decided, copies);
  assert.equal(ofNodes.firsts.length, 4);
  assert.equal(new Set(ofNodes.parts.subarray(ofNodes.offsets[0], ofNodes.offsets[1])).size, 1);
});

test('what does not fit the set is refused by its line', async (t) => {
  const refused = (lines: readonly Line[], message: RegExp) =>
    assert.rejects(decidedOf(t, lines), { code: 'BAD_INPUT', message });
  await refused([{ kind: 'same', items: ['a', 6] }], /line 1: names row 6, expected 0 to 5/);
  const folder = temporaryFolder(t);
  const path = join(folder, 'decisions.jsonl');
  writeFileSync(path, '{"id":"1","time":"2026-11-26","kind":"same","items":["a","b"]}\n');
  const of = (rowCount: number, itemsFile: string | undefined) => async () =>
    readDecidedRows(
      { constraints: path },
      { rowCount, items: itemsFile ? await openItems(itemsFile) : undefined, itemsFile },
    );
  await assert.rejects(of(6, undefined), /line 1: names 'a', but the rows have no names: give them with --items/);
  writeFileSync(join(folder, 'twice.txt'), 'a\nb\na\n');
  await assert.rejects(
    of(3, join(folder, 'twice.txt')),
    /rows 0 and 2 have the same name 'a', which \S+ decides of in line 1/,
  );
  await assert.rejects(of(4, join(folder, 'twice.txt')), /same name|3 items, expected one for each of 4 rows/);
});

test('constraints do not depend on the order of decisions', async (t) => {
  const lines = fc.array(
    fc.oneof(
      fc.record({
        kind: fc.constant('same'),
        items: fc.array(fc.constantFrom(...names, 'x', 'y'), { minLength: 1, maxLength: 3 }),
      }),
      fc.record({
        kind: fc.constant('different'),
        items: fc.array(fc.constantFrom(...names, 'x', 'y'), { minLength: 2, maxLength: 3 }),
      }),
      fc.record({
        kind: fc.constant('name'),
        items: fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 2 }),
        name: fc.constantFrom('Ada', 'Bob'),
      }),
    ),
    { maxLength: 5 },
  );
  /** Pairs of rows that are one identity, and pairs that are not. */
  const meaning = async (some: readonly Line[]) => {
    const { decided } = await decidedOf(t, some);
    try {
      const { constraints, names: named } = constraintsOf(decided);
      const { firsts, offsets, sets, parts } = constraints;
      const ofGroup = (row: number) =>
        firsts.reduce<string[]>((all, first, other) => {
          if (first !== firsts[row]) return all;
          for (let i = offsets[other]; i < offsets[other + 1]; i++) all.push(`${sets[i]} ${parts[i]}`);
          return all;
        }, []);
      const isApart = (a: number, b: number) =>
        ofGroup(a).some((x) => ofGroup(b).some((y) => x.split(' ')[0] === y.split(' ')[0] && x !== y));
      const pairs = names.flatMap((_, a) =>
        names.map((_, b) => (firsts[a] === firsts[b] ? 1 : isApart(a, b) ? -1 : 0)),
      );
      return { pairs, decided: [...constraints.decided], named: named.map(({ row, name }) => `${row} ${name}`).sort() };
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  let contradictions = 0;
  await fc.assert(
    fc.asyncProperty(lines, async (some) => {
      const found = await meaning(some);
      assert.deepEqual(await meaning(some.toReversed()), found);
      if (found === 'CONTRADICTION') contradictions++;
    }),
    { numRuns: 100 },
  );
  assert.ok(contradictions > 0);
});
