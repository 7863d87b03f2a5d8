import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { clusterTable, readClusterTable, writeClusterTable } from '../../src/io/cluster-table.js';
import { temporaryFolder } from './python.js';

test('what is written of clusters is read back, those that are left out aside', async (t) => {
  const path = join(temporaryFolder(t), 'clusters.csv');
  const trust = {
    cohesion: Float32Array.of(0.75, Number.NaN, 0.5),
    separation: Float32Array.of(0, 0.25, 0.125),
    weakestJoin: Float32Array.of(0.5, Number.NaN, 0.25),
    trust: Float32Array.of(0.625, 0.75, -0.25),
  };
  await writeClusterTable(path, clusterTable(Int32Array.of(3, 1, 2), trust, Int32Array.of(7, 9, 4)));
  assert.deepEqual(await readClusterTable(path), {
    ids: Int32Array.of(7, 9, 4),
    sizes: Int32Array.of(3, 1, 2),
    ...trust,
  });
  await writeClusterTable(path, clusterTable(Int32Array.of(3, 0, 2), trust));
  const { ids, trust: kept } = await readClusterTable(path);
  assert.deepEqual(
    [[...ids], [...kept]],
    [
      [0, 2],
      [0.625, -0.25],
    ],
  );
});

test('another table, and a line that is none of a cluster, are refused by their line', async (t) => {
  const path = join(temporaryFolder(t), 'clusters.csv');
  const title = 'cluster,size,cohesion,separation,weakest_join,trust';
  for (const [text, message] of [
    ['item,label\na,1\n', /clusters\.csv: line 1: is no title/],
    [`${title}\n0,2,0.5,0.1,0.5,0.2\n1,0,,,,\n`, /clusters\.csv: line 3: is no line/],
    [`${title}\n0,2,0.5,x,0.5,0.2\n`, /clusters\.csv: line 2: is no line/],
    [`${title}\n0,2,0.5,0.1,0.5,0.2\n1,2,0.5\n`, /clusters\.csv: line 3: is no line/],
    [`${title}\n0,2,0.5,0.1,0.5,0.2,7\n`, /clusters\.csv: line 2: is no line/],
  ] as const) {
    writeFileSync(path, text);
    await assert.rejects(readClusterTable(path), { code: 'BAD_INPUT', message });
  }
});
