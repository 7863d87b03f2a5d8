import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readWork } from '../../src/engine/work-dir.js';
import { SyntheticSet } from '../../src/graph/synthetic-set.js';
import { findFeatures } from '../../src/io/features.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { findKnn } from '../../src/knn/find.js';
import type { ProgressEvent } from '../../src/progress.js';
import { temporaryFolder } from '../cli/naan.js';

const folder = temporaryFolder(after);
const features = join(folder, 'faces.npy');
const path = join(folder, 'work');
const nodes = 3000;
const dim = 32;
const options = { k: 10, threads: 2, method: 'ivf', work: { path, features, intervalMs: 0 } } as const;
let whole: Int32Array;

async function write(seed: number): Promise<void> {
  const rows = new Float32Array(nodes * dim);
  new SyntheticSet({ seed, split: 1, dim, extent: { nodes }, shuffle: true }).rows(0, nodes, rows);
  await writeNpy(features, 'f4', [nodes, dim], rows);
}

/** Stops when so great a share of the comparisons is done. */
async function interrupted(share: number): Promise<void> {
  const controller = new AbortController();
  const onProgress = ({ stage, done, total }: ProgressEvent) => {
    if (stage === 'compare' && done >= share * total) controller.abort();
  };
  const search = findKnn(await findFeatures(features), { ...options, signal: controller.signal, onProgress });
  await assert.rejects(search, { code: 'CANCELLED' });
}

/** Another process searches, and kills itself at so great a share of a stage. */
function killed(stage: string, share: number): void {
  const program = `
    import { findFeatures } from '${new URL('../../src/io/features.js', import.meta.url)}';
    import { findKnn } from '${new URL('../../src/knn/find.js', import.meta.url)}';
    const onProgress = ({ stage, done, total }) => {
      if (stage === '${stage}' && done >= ${share} * total) process.kill(process.pid, 'SIGKILL');
    };
    await findKnn(await findFeatures('${features}'), { ...${JSON.stringify(options)}, onProgress });
  `;
  const { signal } = spawnSync(process.execPath, ['--input-type=module', '--eval', program]);
  assert.equal(signal, 'SIGKILL', stage);
}

/** Goes on; the graph, and the rows that comparisons began with. */
async function goneOn() {
  let from = 0;
  const notices: string[] = [];
  const { graph } = await findKnn(await findFeatures(features), {
    ...options,
    onNotice: (notice) => notices.push(notice),
    onProgress: (event) => {
      if (event.stage === 'compare') from = event.from ?? 0;
    },
  });
  return { ids: graph.ids, from, notices };
}

describe('a kNN search in a work directory', () => {
  before(async () => {
    await write(5);
    whole = (await findKnn(await findFeatures(features), { ...options, work: undefined })).graph.ids;
  });

  it('goes on where it was stopped, and finds what a search in one piece finds', async () => {
    await interrupted(0.5);
    const done = readWork(path)!.done[0].shards;
    assert.ok(done > 2, `${done}`);
    const { ids, from, notices } = await goneOn();
    assert.ok(from > 0.3 * nodes && from < nodes, `${from}`);
    assert.match(notices[0], /work: goes on with the search of .*: \d+ of \d+ rounds of comparisons are done$/);
    assert.deepEqual(ids, whole);
    assert.ok(readWork(path)?.finished);
    assert.deepEqual(
      readdirSync(path).filter((name) => name.endsWith('.rows')),
      [],
    );
  });

  it('tells of a block that meets itself as of two pairs, as it takes twice as long', async () => {
    const told: number[] = [];
    const onProgress = ({ stage, done }: ProgressEvent) => {
      if (stage === 'compare') told.push(done);
    };
    await findKnn(await findFeatures(features), { ...options, onProgress });
    const blocks = readWork(path)!.header.shards - 1;
    const ofFirst = 2 * blocks;
    const inAll = ofFirst + (blocks * (blocks - 1)) / 2;
    assert.ok(told.includes(Math.floor((ofFirst / inAll) * nodes)), `${told} of ${blocks} blocks`);
    assert.equal(told.at(-1), nodes);
  });

  it('goes on after kill -9 in any stage, however often, with the rounds that were recorded', async () => {
    const recorded = (stage: string, share = 0) => {
      killed(stage, share);
      return readWork(path)!.done[0].shards;
    };
    const rounds = [recorded('assign'), recorded('compare', 0.3), recorded('compare', 0.8), recorded('refine')];
    assert.ok(rounds[0] === 0 && rounds[1] > 0 && rounds[2] > rounds[1] && rounds[3] > rounds[2], `${rounds}`);
    const { ids, notices } = await goneOn();
    assert.match(notices[0], new RegExp(`: ${rounds[3]} of ${rounds[3]} rounds of comparisons are done$`));
    assert.deepEqual(ids, whole);
  });

  it('believes no file: one that is damaged is passed over for the one before, and then for none', async () => {
    await interrupted(0.6);
    const files = [0, 1].map((slot) => join(path, `lists0${slot}.rows`));
    const [latest, earlier] = files.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
    flip(latest);
    const first = await goneOn();
    assert.ok(first.from > 0);
    assert.deepEqual(first.ids, whole);

    await interrupted(0.6);
    flip(latest);
    flip(earlier);
    const second = await goneOn();
    assert.equal(second.from, 0);
    assert.deepEqual(second.ids, whole);
  });

  it('refuses to go on with other features, and begins anew when told to', async () => {
    await interrupted(0.3);
    await write(6);
    const source = await findFeatures(features);
    await assert.rejects(findKnn(source, options), { code: 'BAD_USAGE', message: /holds a run with features / });
    const { graph } = await findKnn(source, { ...options, work: { ...options.work, restart: true } });
    assert.notDeepEqual(graph.ids, whole);
    rmSync(path, { recursive: true });
  });
});

/** Changes a byte in the middle. */
function flip(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] ^= 1;
  writeFileSync(file, bytes);
}
