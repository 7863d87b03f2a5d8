/**
 * All there is to know of the devices of a machine, in one command: what `naan doctor` measures, then the whole of `label` on
 * generated sets, by each head on each back-end that starts, with the time of each stage and what its devices moved, and whether
 * its labels are those of `native`; and the kNN graph, which computes on the CPU.
 *
 *     node dist/bench/gpu.js [--nodes 100000 --nodes 580000] [--backends cuda --backends webgpu] [--batch 2048]
 */
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type BackendName, onnxProviders } from '../src/backends/names.js';
import { knn } from '../src/index.js';
import { diagnose } from '../src/jobs/doctor.js';
import { generate } from '../src/jobs/generate.js';
import { label } from '../src/jobs/label.js';
import { generalModel } from '../src/model/general.js';
import { writeModel } from '../src/model/model-file.js';
import { report } from './report.js';
import { smoothedDistanceModel } from './smoothed-distance-model.js';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', multiple: true, default: ['100000', '580000'] },
    dim: { type: 'string', default: '512' },
    backends: { type: 'string', multiple: true },
    batch: { type: 'string', default: '2048' },
  },
});
const dim = Number(values.dim);
const folder = join(tmpdir(), 'naan-bench-gpu');
const doctor = await diagnose();
const wanted = values.backends;
const choices = doctor.backends
  .filter(
    ({ rates, software, backend }) =>
      rates.length > 0 && (wanted !== undefined || (!software && backend !== 'reference')),
  )
  .filter(({ backend, provider = backend }) => wanted?.includes(provider) ?? true)
  .filter(({ backend }) => backend !== 'native');

const models = { pairwise: generalModel, concat: join(folder, 'concat.safetensors') };
const results: object[] = [];
for (const nodes of values.nodes.map(Number)) {
  const out = join(folder, `set-${nodes}-${dim}`);
  await generate({ out, nodes, labeledIds: 0, dim, k: 20, plantedKnn: true, seed: 1, overwrite: true });
  await writeModel(models.concat, smoothedDistanceModel(dim, [20, 10]));
  const features = join(out, 'unlabeled', 'split1_feats.npz');
  const began = performance.now();
  await knn(features, { k: 20 });
  results.push({ nodes, stage: 'knn', backend: 'native', seconds: (performance.now() - began) / 1000 });
  for (const [head, model] of Object.entries(models)) {
    let expected: Int32Array | undefined;
    for (const choice of [{ backend: 'native', provider: undefined }, ...choices]) {
      const { backend, provider } = choice;
      const labels = join(folder, 'labels');
      const named = onnxProviders.find((name) => name === provider);
      const computing = {
        backend: backend as BackendName,
        ...(named && { provider: named }),
        batch: Number(values.batch),
      };
      const found = await label({
        features,
        knn: join(out, 'unlabeled', 'split1_knn.npy'),
        model,
        out: labels,
        overwrite: true,
        ...computing,
      });
      expected ??= found.labels;
      const { engine, seconds } = JSON.parse(readFileSync(join(labels, 'run.json'), 'utf8'));
      const different = found.labels.reduce((sum, name, row) => sum + Number(name !== expected?.[row]), 0);
      results.push({ nodes, head, backend, provider, seconds, devices: engine.devices, rowsOfOtherLabels: different });
    }
  }
}
report('gpu', { doctor, results });
