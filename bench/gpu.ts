/**
 * All there is to know of the devices of a machine, in one command: what `naan doctor` measures; then, on generated sets, the kNN graph
 * by the CPU and by each back-end that starts, with columns that stay on the device and with columns that are uploaded for each
 * batch, and how much of the CPU's graph it has; and the whole of `label`, by each head on each back-end, with the time of each
 * stage and what its devices moved, and whether its labels are those of `native`.
 *
 *     node dist/bench/gpu.js [--nodes 100000 --nodes 580000] [--backends cuda --backends webgpu] [--batch 2048] [--k 80]
 */
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type BackendName, onnxProviders } from '../src/backends/names.js';
import { type KnnGraph, type KnnOptions, knn } from '../src/index.js';
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
    k: { type: 'string', default: '80' },
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
  const k = Number(values.k);
  const timed = async (options: KnnOptions) => {
    const began = performance.now();
    const { graph, method, recall, computed } = await knn(features, { k, ...options });
    return { graph, facts: { method, recall, ...computed, seconds: (performance.now() - began) / 1000 } };
  };
  const byCpu = await timed({ backend: 'native' });
  results.push({ nodes, stage: 'knn', k, backend: 'native', ...byCpu.facts });
  for (const choice of choices) {
    // A device that has room for all, and one that has no room for any.
    for (const deviceMemory of [undefined, 1]) {
      const { graph, facts } = await timed({ ...computingBy(choice), deviceMemory });
      const shared = shareOfGraph(byCpu.graph, graph);
      results.push({
        nodes,
        stage: 'knn',
        k,
        provider: choice.provider,
        deviceMemory,
        ...facts,
        sharedWithCpu: shared,
      });
    }
  }
  for (const [head, model] of Object.entries(models)) {
    let expected: Int32Array | undefined;
    for (const choice of [{ backend: 'native', provider: undefined }, ...choices]) {
      const { backend, provider } = choice;
      const labels = join(folder, 'labels');
      const found = await label({
        features,
        knn: join(out, 'unlabeled', 'split1_knn.npy'),
        model,
        out: labels,
        overwrite: true,
        ...computingBy(choice),
      });
      expected ??= found.labels;
      const { engine, seconds } = JSON.parse(readFileSync(join(labels, 'run.json'), 'utf8'));
      const different = found.labels.reduce((sum, name, row) => sum + Number(name !== expected?.[row]), 0);
      results.push({ nodes, head, backend, provider, seconds, devices: engine.devices, rowsOfOtherLabels: different });
    }
  }
}
report('gpu', { doctor, results });

function computingBy({ backend, provider }: { readonly backend: string; readonly provider?: string | undefined }) {
  const named = onnxProviders.find((name) => name === provider);
  return { backend: backend as BackendName, ...(named && { provider: named }), batch: Number(values.batch) };
}

/** Share of the neighbours in one graph that another has for the same rows. */
function shareOfGraph({ ids, width, nodeCount }: KnnGraph, other: KnnGraph): number {
  let shared = 0;
  for (let start = 0; start < ids.length; start += width) {
    const list = new Set(other.ids.subarray(start + 1, start + width));
    for (let c = 1; c < width; c++) shared += Number(list.has(ids[start + c]));
  }
  return shared / (nodeCount * (width - 1));
}
