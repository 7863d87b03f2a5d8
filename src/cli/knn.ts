import { buildKnn } from '../engine/knn-exact.js';
import { locateFeatures } from '../io/features.js';
import { writeNpy } from '../io/npy-writer.js';
import type { Run } from './command.js';
import { count, duration, table } from './format.js';

export const run: Run<'knn'> = async ({ features, dim, out, k, threads }, { signal, onProgress, log }) => {
  const began = performance.now();
  const { location } = await locateFeatures(features, { dim });
  const onNotice = (message: string) => log.warn(message);
  const { nodeCount, width, ids } = await buildKnn(location, { k, threads, signal, onProgress, onNotice });
  await writeNpy(out, 'i4', [nodeCount, width], ids);
  const seconds = (performance.now() - began) / 1000;
  const facts = table([
    ['nodes', count(nodeCount)],
    ['neighbours each', count(k)],
    ['time', duration(seconds)],
  ]);
  return { json: { nodes: nodeCount, k, seconds, out }, text: `${facts}\n\nwritten to ${out}` };
};
