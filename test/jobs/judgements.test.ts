import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { counted } from '../../src/io/decisions.js';
import { type Judgement, Judgements } from '../../src/jobs/judgements.js';
import { placesOfLabels } from '../../src/jobs/run-folder.js';

const clusterCount = 8;
const cluster = fc.nat(clusterCount - 1);
const statement = fc.oneof(
  fc.record({ action: fc.constantFrom('accept', 'reject', 'split', 'name'), clusters: fc.tuple(cluster) }),
  fc.record({ action: fc.constantFrom('merge', 'apart'), clusters: fc.tuple(cluster, cluster) }),
);
/** A decision, of this labelling or another, or an undo of the decision in force at this share of them. */
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ statement, of: fc.constantFrom('this', 'this', 'this', 'other') }) },
  { weight: 1, arbitrary: fc.record({ share: fc.double({ min: 0, max: 0.999, noNaN: true }) }) },
);

/** All that can be asked, from the whole list each time. */
function naive(all: readonly Judgement[]) {
  const inForce = counted(all);
  const here = inForce.filter(({ of }) => of === 'this');
  const single = here.filter(({ clusters }) => clusters!.length === 1);
  const pairs = here.filter(({ clusters }) => clusters!.length === 2);
  const clusters = Array.from({ length: clusterCount }, (_, c) => c);
  const ofPair = (a: number, b: number) =>
    pairs.findLast(({ clusters: [x, y] = [] }) => (x === a && y === b) || (x === b && y === a));
  const others = (c: number, action: string) => clusters.filter((other) => ofPair(c, other)?.action === action);
  const group = (c: number) => {
    const members = new Set([c]);
    for (let before = 0; before < members.size; ) {
      before = members.size;
      for (const member of [...members]) for (const other of others(member, 'merge')) members.add(other);
    }
    return [...members].sort();
  };
  return {
    count: inForce.length,
    judged: new Set(single.map(({ clusters: [c] = [] }) => c)).size,
    recent: inForce.slice(-20).map(({ id }) => id),
    of: clusters.map((c) => single.findLast(({ clusters: [x] = [] }) => x === c)?.id),
    ofPairs: clusters.map((a) => clusters.map((b) => ofPair(a, b)?.id)),
    apart: clusters.map((c) => others(c, 'apart')),
    groups: clusters.map(group),
  };
}

function told(judgements: Judgements) {
  const clusters = Array.from({ length: clusterCount }, (_, c) => c);
  return {
    count: judgements.count,
    judged: judgements.judged,
    recent: judgements.recent().map(({ id }) => id),
    of: clusters.map((c) => judgements.of(c)?.id),
    ofPairs: clusters.map((a) => clusters.map((b) => judgements.ofPair(a, b)?.id)),
    apart: clusters.map((c) => [...judgements.others(c, 'apart')].sort()),
    groups: clusters.map((c) => [...judgements.group(c)].sort()),
  };
}

test('after any decisions and undos, what a review knows is what the whole list of decisions says', () => {
  const placesOf = ({ of, clusters }: Judgement) => (of === 'this' ? clusters : undefined);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(60), (steps, readAfter) => {
      const all: Judgement[] = [];
      let judgements = new Judgements([], placesOf);
      for (const [i, one] of steps.entries()) {
        const id = String(i);
        if ('statement' in one) {
          const made = { id, kind: 'same', line: i, ...one.statement, of: one.of } as Judgement;
          all.push(made);
          judgements.add(made);
        } else {
          const inForce = counted(all);
          if (inForce.length === 0) continue;
          const undoes = inForce[Math.floor(one.share * inForce.length)].id;
          all.push({ id, kind: 'undo', line: i, undoes });
          judgements.remove(undoes);
        }
        // A review that is started again goes on from the file.
        if (i === readAfter) judgements = new Judgements(all, placesOf);
      }
      assert.deepEqual(told(judgements), naive(all));
      const counts = Object.fromEntries(Object.entries(judgements.actions).filter(([, count]) => count > 0));
      const wanted: Record<string, number> = {};
      for (const { action } of counted(all)) wanted[action!] = (wanted[action!] ?? 0) + 1;
      assert.deepEqual(counts, wanted);
    }),
    { numRuns: 500 },
  );
});

test('a label is found by its place, whether or not labels are places', () => {
  const ids = fc.uniqueArray(fc.nat(60), { maxLength: 40 }).map((list) => Int32Array.from(list));
  fc.assert(
    fc.property(ids, (labels) => {
      const placeOf = placesOfLabels(labels);
      for (const label of [...Array(62).keys(), -1, 0.5, Number.NaN, 2 ** 31 - 1]) {
        const place = labels.indexOf(label);
        assert.equal(placeOf(label), place < 0 ? undefined : place);
      }
    }),
  );
});
