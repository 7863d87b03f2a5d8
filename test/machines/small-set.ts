/** A small set as files, for runs that several processes share, and what one process makes of it. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { label } from '../../src/jobs/label.js';
import type { LabelOptions } from '../../src/jobs/label-plan.js';
import { importCheckpoint } from '../../src/model/import-checkpoint.js';
import { writeModel } from '../../src/model/model-file.js';
import { randomPairwise } from '../engine/fixture.js';

export interface SmallSet {
  readonly features: string;
  readonly knn: string;
  readonly model: string;
}

/** 165 nodes, d 32. */
export async function smallSet(folder: string, head: 'concat' | 'pairwise'): Promise<SmallSet> {
  const set = {
    features: join(folder, 'small_feats.npz'),
    knn: join(folder, 'small_knn.npy'),
    model: join(folder, `${head}.safetensors`),
  };
  copyFileSync('test/fixtures/one_head/feats.npz', set.features);
  copyFileSync('test/fixtures/one_head/knn.npy', set.knn);
  const model = head === 'concat' ? await importCheckpoint('test/fixtures/one_head/zip.ckpt') : randomPairwise(8, 3);
  await writeModel(set.model, model);
  return set;
}

const hops = { concat: { kHops: [8, 5] as const, sampleHops: 8 }, pairwise: {} };

/** Options by which both one process and several label it, in about ten shards. */
export function smallRun(set: SmallSet, head: 'concat' | 'pairwise'): LabelOptions {
  return { ...set, ...hops[head], partition: 'linkage', threshold: 0.5, batch: 16, threads: 1, saveEdges: true };
}

/** The same as flags, but for `--out`. */
export function smallFlags({ features, knn, model }: SmallSet, head: 'concat' | 'pairwise'): string[] {
  const flags = head === 'concat' ? ['--k-hops', '8', '5', '--sample-hops', '8'] : [];
  return ['label', '--features', features, '--knn', knn, '--model', model, ...flags].concat(
    '--partition linkage --threshold 0.5 --batch 16 --threads 1 --save-edges --quiet'.split(' '),
  );
}

/** Labels, edges and scores of a run in one process. */
export async function alone(set: SmallSet, head: 'concat' | 'pairwise') {
  const { labels, edges } = await label(smallRun(set, head));
  return { labels, edges };
}
