/**
 * What rows stored as bfloat16 change: scores and BCubed F beside those of float32, for a trained model of each head, on a
 * generated set and on the real one where it is at hand.
 *
 *     node dist/bench/precision.js [--data ../shared/data] [--ids 1000] [--dim 128]
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { evaluate } from '../src/evaluation/evaluate.js';
import { readLabels } from '../src/io/labels.js';
import { generate } from '../src/jobs/generate.js';
import { type LabelResult, label } from '../src/jobs/label.js';
import { train } from '../src/jobs/train.js';
import { precisions } from '../src/memory/row-store.js';
import { report } from './report.js';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: join('..', 'shared', 'data') },
    ids: { type: 'string', default: '1000' },
    dim: { type: 'string', default: '128' },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'naan-precision-'));

const results: Record<string, unknown>[] = [];
try {
  const generated = join(folder, 'set');
  await generate({ out: generated, ids: Number(values.ids), dim: Number(values.dim), k: 80, seed: 1 });
  const sets = [{ name: 'generated', labeled: join(generated, 'labeled'), unlabeled: join(generated, 'unlabeled') }];
  for (const name of ['omniglot_longtail', 'omniglot_matched']) {
    const at = join(values.data, name);
    if (existsSync(at)) sets.push({ name, labeled: at, unlabeled: at });
    else console.error(`${at} is not here: left out`);
  }
  for (const { name, labeled, unlabeled } of sets) {
    const file = (at: string, split: string, rest: string) => join(at, `${split}_${rest}`);
    for (const head of ['concat', 'pairwise'] as const) {
      const model = join(folder, `${name}-${head}.safetensors`);
      const labels = file(labeled, 'split0', 'labels.txt');
      await train({
        features: file(labeled, 'split0', 'feats.npz'),
        knn: file(labeled, 'split0', 'knn.npy'),
        out: model,
        head,
        ...(existsSync(labels) && { labels }),
      });
      const { codes: truth } = await readLabels(file(unlabeled, 'split1', 'labels.txt'));
      const runs: LabelResult[] = [];
      for (const precision of precisions) {
        const input = { features: file(unlabeled, 'split1', 'feats.npz'), knn: file(unlabeled, 'split1', 'knn.npy') };
        runs.push(await label({ ...input, model, precision, saveEdges: true }));
      }
      const [full, half] = runs;
      const before = full.edges!.scores;
      const gaps = Array.from(half.edges!.scores, (score, e) => Math.abs(score - before[e])).sort((a, b) => a - b);
      const { partition, threshold } = full.summary;
      results.push({
        set: name,
        head,
        nodes: truth.length,
        edges: gaps.length,
        partition,
        threshold,
        scoreGap: {
          mean: gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length,
          p99: gaps[Math.floor(0.99 * gaps.length)],
          most: gaps[gaps.length - 1],
        },
        edgesAcrossThreshold: before.filter((score, e) => score >= threshold !== half.edges!.scores[e] >= threshold)
          .length,
        bcubedF: Object.fromEntries(
          precisions.map((precision, i) => [precision, evaluate(runs[i].labels, truth).all.bcubed.f]),
        ),
      });
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
report('precision', { results });
