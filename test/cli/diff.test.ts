/** run.json says enough to run it again, and naan diff what another run did differently. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { compareLabels } from '../../src/cluster/compare.js';
import { relabel } from '../../src/cluster/relabel.js';
import { fixtureInputs, type Inputs, labelFlags } from './inputs.js';
import { naan, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const hops = ['--k-hops', '4', '3', '--sample-hops', '4', '--threads', '1', '--partition', 'threshold'];
const [one, two] = [join(folder, 'one'), join(folder, 'two')];
let inputs: Inputs;
before(async () => {
  inputs = await fixtureInputs(folder);
  for (const [out, threshold] of [
    [one, '0.5'],
    [two, '0.9'],
  ]) {
    const { code, stderr } = await naan([...labelFlags(inputs, out), ...hops, '--threshold', threshold]);
    assert.equal(code, 0, stderr);
  }
});

test('run.json says what was typed, where and when', () => {
  const { run } = JSON.parse(readFileSync(join(one, 'run.json'), 'utf8'));
  assert.deepEqual(run.commandLine.slice(0, 3), ['label', '--features', inputs.features]);
  assert.equal(run.host, hostname());
  assert.ok(run.cores >= 1 && run.cpu !== undefined && run.memoryBytes > 0);
  assert.ok(Date.parse(run.started) <= Date.parse(run.ended));
});

test('naan diff says which options differ, and which clusters are parted and joined', async () => {
  const { code, stdout, stderr } = await naan(['diff', one, two, '--json']);
  assert.equal(code, 0, stderr);
  const found = JSON.parse(stdout);
  assert.deepEqual(found.options, [{ name: 'threshold', before: 0.5, after: 0.9 }]);
  assert.deepEqual(found.inputs, []);
  assert.ok(found.parted > 0, 'a higher threshold parts clusters');
  assert.equal(found.joined, 0, 'and joins none');
  const [largest] = found.partedExamples;
  assert.equal(
    largest.rows,
    largest.others.reduce((sum: number, { rows }: { rows: number }) => sum + rows, 0),
  );
  assert.equal(found.identical, false);
  const text = await naan(['diff', two, one]);
  assert.match(text.stdout, /^ {2}threshold +0\.9 +0\.5$/m);
  assert.match(text.stdout, /^joined, the largest:\n {2}\d+ \(\d+ rows\) from \d+ \(\d+\), /m);
  const same = await naan(['diff', one, one]);
  assert.match(same.stdout, /the labels put the same rows together$/m);
});

test('a folder without a run is refused', async () => {
  const { code, stderr } = await naan(['diff', one, folder]);
  assert.equal(code, 2);
  assert.match(stderr, /has no run\.json of naan label, expected the --out of a run/);
});

test('clusters are compared as a table of all pairs compares them', () => {
  const labels = fc.array(fc.tuple(fc.integer({ min: -1, max: 4 }), fc.integer({ min: -1, max: 4 })), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(labels, (rows) => {
      const [before, after] = [0, 1].map((side) => {
        const all = Int32Array.from(rows, (row) => row[side]);
        relabel(all);
        return all;
      });
      const others = (from: Int32Array, to: Int32Array) => {
        const found = new Map<number, Set<number>>();
        from.forEach((cluster, row) => {
          if (cluster >= 0 && to[row] >= 0) found.set(cluster, (found.get(cluster) ?? new Set()).add(to[row]));
        });
        return found;
      };
      const [parts, joins] = [others(before, after), others(after, before)];
      const several = (all: Map<number, Set<number>>) => [...all.values()].filter((set) => set.size > 1).length;
      const same = [...parts.values()].filter((set) => set.size === 1 && joins.get([...set][0])?.size === 1).length;
      const found = compareLabels(before, after);
      assert.deepEqual([found.parted, found.joined, found.same], [several(parts), several(joins), same]);
    }),
  );
});
