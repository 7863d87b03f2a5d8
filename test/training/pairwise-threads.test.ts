/** The training of head `pairwise` over threads: the same model for any number of them, and for a run that is cut off. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { generate } from '../../src/jobs/generate.js';
import { train } from '../../src/jobs/train.js';
import { temporaryFolder } from '../io/python.js';

test('a model does not depend on threads, nor on where a run is cut off and with how many it goes on', async (t) => {
  const folder = temporaryFolder(t);
  await generate({ out: folder, ids: 40, dim: 16, k: 20 });
  const options = {
    features: join(folder, 'labeled/split0_feats.npz'),
    knn: join(folder, 'labeled/split0_knn.npy'),
    epochs: 2,
    checkpointEvery: 1,
  };
  const model = async (name: string, threads: number) => {
    const out = join(folder, `${name}.safetensors`);
    const { summary } = await train({ ...options, out, threads });
    return { bytes: readFileSync(out), heldOut: summary.heldOut };
  };
  const whole = await model('one', 1);
  assert.deepEqual(await model('three', 3), whole);

  const out = join(folder, 'cut.safetensors');
  const stopped = new AbortController();
  let epochs = 0;
  const onProgress = ({ stage }: { stage: string }) => {
    if (stage === 'train' && ++epochs === 17) stopped.abort();
  };
  await assert.rejects(train({ ...options, out, threads: 3, signal: stopped.signal, onProgress }), {
    code: 'CANCELLED',
  });
  const notices: string[] = [];
  await train({ ...options, out, threads: 2, resume: true, onNotice: (notice) => void notices.push(notice) });
  assert.match(notices.join('\n'), /goes on from step \d+, round 2/);
  assert.deepEqual(readFileSync(out), whole.bytes);
});
