import { findKnn } from '../engine/knn.js';
import { locateFeatures } from '../io/features.js';
import { writeNpy } from '../io/npy-writer.js';
import type { Run } from './command.js';
import { count, duration, table } from './format.js';

export const run: Run<'knn'> = async ({ features, dim, out, ...options }, { signal, onProgress, log }) => {
  const began = performance.now();
  const location = await locateFeatures(features, { dim });
  const onNotice = (message: string) => log.warn(message);
  const { graph, method, recall, attempts } = await findKnn(location, { ...options, signal, onProgress, onNotice });
  const { nodeCount, width, ids } = graph;
  await writeNpy(out, 'i4', [nodeCount, width], ids);
  const seconds = (performance.now() - began) / 1000;
  const { k } = options;
  const facts = table([
    ['nodes', count(nodeCount)],
    ['neighbours each', count(k)],
    ['method', method],
    ['recall', method === 'exact' ? '1' : `${recall.toFixed(4)} on a sample`],
    ['time', duration(seconds)],
  ]);
  const json = { nodes: nodeCount, k, method, recall, attempts, seconds, out };
  return { json, text: `${facts}\n\nwritten to ${out}` };
};
