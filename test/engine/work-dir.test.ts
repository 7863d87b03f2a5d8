import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { smoothedDistanceModel } from '../../bench/smoothed-distance-model.js';
import { generate } from '../../src/engine/generate.js';
import { type LabelOptions, label } from '../../src/engine/label.js';
import { readWork } from '../../src/engine/work-dir.js';
import { writeModel } from '../../src/model/model-file.js';
import { train } from '../../src/training/train.js';
import { labelFlags } from '../cli/inputs.js';
import { main, naan } from '../cli/naan.js';

const folder = mkdtempSync(join(tmpdir(), 'naan-work-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const features = join(folder, 'unlabeled/split1_feats.npz');
const knn = join(folder, 'unlabeled/split1_knn.npy');
const models = { concat: join(folder, 'concat.safetensors'), pairwise: join(folder, 'pairwise.safetensors') };
const stagesOf = {
  concat: ['project', 'aggregate', 'embed', 'split', 'score'],
  pairwise: ['load', 'similarities', 'score'],
};

before(async () => {
  await generate({ out: folder, nodes: 1500, dim: 32, k: 30, seed: 3, plantedKnn: true, shuffle: true });
  await writeModel(models.concat, smoothedDistanceModel(32, [20, 10]));
  const labeled = { features: join(folder, 'labeled/split0_feats.npz'), knn: join(folder, 'labeled/split0_knn.npy') };
  await train({ ...labeled, out: models.pairwise, head: 'pairwise', epochs: 1, seed: 1 });
});

let runs = 0;
const options = (head: keyof typeof models, more: Partial<LabelOptions> = {}): LabelOptions => ({
  ...{ features, knn, model: models[head], shards: 7, batch: 64, threshold: 0.4, saveEdges: true },
  ...{ out: join(folder, `out${runs++}`), threads: 2, ...more },
});

/** The bytes of every result of a run but run.json. */
async function results(wanted: LabelOptions): Promise<Map<string, Buffer>> {
  await label(wanted);
  const out = wanted.out!;
  const names = readdirSync(out).filter((name) => name !== 'run.json');
  return new Map(names.sort().map((name) => [name, readFileSync(join(out, name))]));
}

/** Runs until `stop` says so of a progress event. */
async function stopped(wanted: LabelOptions, stop: (stage: string, done: number) => boolean): Promise<void> {
  const controller = new AbortController();
  await assert.rejects(
    label({
      ...wanted,
      signal: controller.signal,
      onProgress: ({ stage, done }) => void (stop(stage, done) && controller.abort()),
    }),
    { code: 'CANCELLED' },
  );
}

for (const head of ['concat', 'pairwise'] as const) {
  describe(`a work directory, head ${head}`, () => {
    for (const precision of ['f32', 'bf16'] as const) {
      it(`changes nothing in the results, rows as ${precision}`, async () => {
        const workDir = join(folder, `same-${head}-${precision}`);
        const expected = await results(options(head, { precision }));
        assert.deepEqual(await results(options(head, { precision, workDir })), expected);
        const status = readWork(workDir);
        assert.ok(status?.finished);
        assert.ok(status.done.every(({ shards }) => shards === 7));
        assert.deepEqual(readdirSync(workDir), ['journal']);
      });
    }

    it('goes on after a stop in any stage, with the same results for other threads', async () => {
      const expected = await results(options(head));
      for (const stage of stagesOf[head]) {
        const workDir = join(folder, `stop-${head}-${stage}`);
        await stopped(options(head, { workDir }), (at) => at === stage);
        const { done } = readWork(workDir)!;
        const before = done.reduce((sum, { shards }) => sum + shards, 0);
        if (stage !== stagesOf[head][0]) assert.ok(before >= 7, `${stage}: ${before}`);
        const notices: string[] = [];
        const again = options(head, { workDir, threads: 3, onNotice: (text) => notices.push(text) });
        assert.deepEqual(await results(again), expected, stage);
        assert.match(notices.join('\n'), new RegExp(`goes on with the run of .*: ${before} of `));
      }
    });
  });
}

describe('a work directory', () => {
  it('refuses a run of other inputs or options by name, unless told to restart', async () => {
    const workDir = join(folder, 'other');
    await stopped(options('concat', { workDir }), (stage) => stage === 'embed');
    const other = (more: Partial<LabelOptions>) => label(options('concat', { workDir, ...more }));
    await assert.rejects(other({ kHops: [10, 5] }), { code: 'BAD_USAGE', message: /holds a run with k1 20, got 10: / });
    await assert.rejects(other({ precision: 'bf16' }), { message: /holds a run with precision none, got "bf16"/ });
    const changed = join(folder, 'changed_feats.npz');
    copyFileSync(features, changed);
    const bytes = readFileSync(changed);
    bytes[bytes.length >> 1] ^= 1;
    writeFileSync(changed, bytes);
    await assert.rejects(other({ features: changed }), { message: /holds a run with features "/ });
    const expected = await results(options('concat', { kHops: [10, 5] }));
    assert.deepEqual(await results(options('concat', { workDir, kHops: [10, 5], restart: true })), expected);
  });

  it('serves one process at a time, and is taken over from one that died', async () => {
    const workDir = join(folder, 'locked');
    mkdirSync(workDir);
    writeFileSync(join(workDir, 'lock'), String(process.ppid));
    await assert.rejects(label(options('concat', { workDir })), {
      code: 'BAD_USAGE',
      message: `${workDir}: process ${process.ppid} is working on it: give another --work-dir`,
    });
    const child = spawn('true');
    await once(child, 'exit');
    writeFileSync(join(workDir, 'lock'), String(child.pid));
    await label(options('concat', { workDir }));
    assert.equal(existsSync(join(workDir, 'lock')), false);
  });

  it('wants its inputs in files', async () => {
    const model = smoothedDistanceModel(32, [20, 10]);
    await assert.rejects(label({ ...options('concat', { workDir: join(folder, 'memory') }), model }), {
      code: 'BAD_USAGE',
      message: /model in memory, expected a file/,
    });
  });

  it('survives kill -9: the same command goes on and writes the same bytes', async () => {
    const [plain, killed, workDir] = ['plain', 'killed', 'kill'].map((name) => join(folder, name));
    const flags = (out: string) => [
      ...labelFlags({ features, knn, model: models.concat, truth: '' }, out),
      ...['--threshold', '0.4', '--backend', 'reference', '--threads', '1', '--save-edges', '--shards', '7'],
    ];
    assert.equal((await naan(flags(plain))).code, 0);
    mkdirSync(workDir);
    const child = spawn(process.execPath, [main, ...flags(killed), '--work-dir', workDir], { stdio: 'ignore' });
    // The journal grows when shards are on the disk; the run is then in the middle.
    const watcher = watch(workDir, () => {
      if ((readWork(workDir)?.done ?? []).some(({ shards }) => shards > 0)) child.kill('SIGKILL');
    });
    const [, signal] = await once(child, 'exit');
    watcher.close();
    assert.equal(signal, 'SIGKILL');
    assert.equal(existsSync(killed), false);

    const status = await naan(['status', workDir, '--json']);
    const { shardsDone, shards, finished, process: worker } = JSON.parse(status.stdout);
    assert.ok(shardsDone >= 7 && shardsDone < shards, status.stdout);
    assert.equal(finished ?? worker, undefined);
    const again = await naan([...flags(killed), '--work-dir', workDir]);
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stderr, new RegExp(`goes on with the run of .*: ${shardsDone} of ${shards} shards`));
    for (const name of ['labels.txt', 'labels.npy', 'edges.npy', 'scores.npy']) {
      assert.deepEqual(readFileSync(join(killed, `split1_${name}`)), readFileSync(join(plain, `split1_${name}`)), name);
    }
    assert.match((await naan(['status', workDir])).stdout, /state +finished/);
  });

  it('that holds no run has no status', async () => {
    const { code, stderr } = await naan(['status', folder]);
    assert.equal(code, 2);
    assert.match(stderr, /holds no run, expected a folder that naan label had as --work-dir/);
  });
});
