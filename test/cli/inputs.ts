/** Inputs for command-line tests: a fixture under the names users give, its model imported, and large random sets. */
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeNpy } from '../../src/io/npy-writer.js';
import { naan } from './naan.js';

export interface Inputs {
  readonly features: string;
  readonly knn: string;
  readonly model: string;
  readonly truth: string;
}

/** The flags of `naan label` for these inputs. */
export function labelFlags({ features, knn, model }: Inputs, out: string): string[] {
  return ['label', '--features', features, '--knn', knn, '--model', model, '--out', out];
}

/** 165 nodes, d 32, one attention head. The published model's hops do not fit it: `fixtureHops` do. */
export async function fixtureInputs(folder: string, fixture = 'one_head'): Promise<Inputs> {
  const inputs = {
    features: join(folder, 'split1_feats.npz'),
    knn: join(folder, 'split1_knn.npy'),
    model: join(folder, 'model.safetensors'),
    truth: join(folder, 'split1_labels.txt'),
  };
  copyFileSync(`test/fixtures/${fixture}/feats.npz`, inputs.features);
  copyFileSync(`test/fixtures/${fixture}/knn.npy`, inputs.knn);
  copyFileSync(`test/fixtures/${fixture}/labels.txt`, inputs.truth);
  const imported = await naan(['import-model', `test/fixtures/${fixture}/zip.ckpt`, '--out', inputs.model]);
  assert.equal(imported.code, 0, imported.stderr);
  return inputs;
}

/**
 * Random features, all nearly of one direction so that any row may be near any other, and a random graph: big enough that a
 * signal or a scrape meets a run at work.
 */
export async function randomInputs(folder: string, model: string, nodeCount: number, dim: number): Promise<Inputs> {
  const k = 20;
  const random = lcg(1);
  const features = Float32Array.from({ length: nodeCount * dim }, () => 1 + 0.01 * random());
  const ids = Int32Array.from({ length: nodeCount * (k + 1) }, () => Math.floor(random() * nodeCount));
  const inputs = { features: join(folder, 'random_feats.npy'), knn: join(folder, 'random_knn.npy'), model, truth: '' };
  await writeNpy(inputs.features, 'f4', [nodeCount, dim], features);
  await writeNpy(inputs.knn, 'i4', [nodeCount, k + 1], ids);
  return inputs;
}

/** Numerical Recipes' linear congruential generator, in [0, 1). */
function lcg(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
