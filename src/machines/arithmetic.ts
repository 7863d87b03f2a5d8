/**
 * The digest of the arithmetic of this machine: that of a small fixed set, scored by a fixed model of a head through every
 * kernel that labelling uses. Processors may differ in the last bits of a sum (one without FMA does from one with it), and
 * only machines of one digest may share a run.
 */
import { createHash } from 'node:crypto';
import { hopsFor } from '../engine/head.js';
import { ScoringRun } from '../engine/scoring-run.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { type HeadName, heads } from '../heads/heads.js';
import { sharedInts } from '../memory/shared-arrays.js';
import { SharedRows } from '../memory/shared-rows.js';
import { expectedTensors, type ModelConfig, type NaanModel } from '../model/model.js';

const nodeCount = 150;
const dim = 76;
const width = 13;

const known = new Map<HeadName, string>();

/** The digest, computed once in a process. `signal`: throws CANCELLED. */
export async function ownArithmetic(name: HeadName, signal?: AbortSignal): Promise<string> {
  const found = known.get(name) ?? (await arithmeticOf(name, signal));
  known.set(name, found);
  return found;
}

/** Sixteen hexadecimal digits. `signal`: throws CANCELLED. */
export async function arithmeticOf(name: HeadName, signal?: AbortSignal): Promise<string> {
  const uniform = sequence();
  const head = heads[name];
  const model = fixedModel(head.sample, uniform);
  const rows = SharedRows.allocate(nodeCount, dim);
  rows.eachRun(0, nodeCount, (run) => {
    for (let i = 0; i < run.length; i++) run[i] = uniform() + (i % dim === 0 ? 1 : 0);
  });
  const hops = hopsFor(head, model, {});
  const run = new ScoringRun({ model, head, hops, threads: 1, batch: 64, shards: 2, backend: 'native', signal });
  try {
    const features = { kind: 'memory' as const, name: 'the fixed set', rows: rows.handle() };
    await run.score({ features, layout: { graph: fixedGraph() }, uniteFrom: 0.5 });
    const hash = createHash('sha256');
    for (const [column, { values }] of Object.entries(run.columns).sort(([a], [b]) => (a < b ? -1 : 1))) {
      hash.update(column).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    }
    return hash.digest('hex').slice(0, 16);
  } finally {
    await run.close();
  }
}

/** Lists of rising steps around a ring, so that neighbours have neighbours in common. */
function fixedGraph(): KnnGraph {
  const ids = sharedInts(nodeCount * width);
  for (let i = 0; i < nodeCount; i++) {
    for (let c = 0; c < width; c++) ids[i * width + c] = (i + (c * (c + 1)) / 2) % nodeCount;
  }
  return { nodeCount, width, ids };
}

function fixedModel(config: ModelConfig, uniform: () => number): NaanModel {
  const tensors = expectedTensors(config).map(([name, shape]) => {
    const length = shape.reduce((product, size) => product * size, 1);
    const data = Float32Array.from({ length }, () => (name.endsWith('scale') ? 1 : 0.4 * uniform()));
    return [name, { shape, data }] as const;
  });
  return { config, tensors: new Map(tensors) };
}

/** The same numbers from −1 to 1 on any machine. */
function sequence(): () => number {
  let state = 11;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}
