/**
 * A kNN graph of a synthetic set without a search: each row's neighbours are taken from its family's surroundings and
 * a random sample of the set, sorted by true cosine. So images of the identity come first, look-alikes next, and links
 * across the whole set last, at a cost that grows with n alone.
 */
import { NaanError } from '../errors.js';
import { Arena } from '../kernels/arena.js';
import { InnerProducts } from '../kernels/gemm.js';
import { listedIds, loadKernels } from '../kernels/kernels.js';
import type { ProgressListener } from '../progress.js';
import { allocateKnnGraph, type KnnGraph } from './knn-graph.js';
import type { SyntheticSet } from './synthetic-set.js';

/** Images of a block: whole families, until there are so many. */
const wantedBlock = 512;
/** Random images that the rows of a block may link to besides. */
const wantedSample = 256;
/** Rows compared at once. */
const tileRows = 256;

export interface PlantedKnnOptions {
  readonly k: number;
  readonly signal?: Pick<AbortSignal, 'aborted'> | undefined;
  /** Stage `knn`, unit `rows`. */
  readonly onProgress?: ProgressListener | undefined;
}

/** k + 1 columns, column 0 the node itself; k ≤ n − 1. Memory: the graph and a few MiB. Throws CANCELLED. */
export async function plantKnn(set: SyntheticSet, { k, signal, onProgress }: PlantedKnnOptions): Promise<KnnGraph> {
  const { nodeCount, dim } = set;
  const graph = allocateKnnGraph(nodeCount, k + 1);
  const rowOf = set.rowsOfImages();
  const starts = blockStarts(set.familyStarts());
  const sampleSize = Math.max(wantedSample, k);
  let capacity = 0;
  for (let b = 0; b + 1 < starts.length; b++) capacity = Math.max(capacity, starts[b + 1] - starts[b] + sampleSize);

  const arena = new Arena(4 * (capacity * dim + tileRows * (capacity + 2 * k) + capacity + 30));
  const kernels = loadKernels(arena);
  const products = await InnerProducts.create(dim);
  const rows = arena.float32(capacity * dim);
  const similarities = arena.float32(tileRows * capacity + 15);
  const leastOfColumn = arena.float32(capacity + 15);
  const lists = arena.float32(tileRows * 2 * k);
  const ids = new Int32Array(tileRows * k);

  for (let b = 0; b + 1 < starts.length; b++) {
    if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
    const [start, end] = [starts[b], starts[b + 1]];
    const images = [...Array(end - start).keys()].map((i) => start + i);
    for (const image of sampleOutside(set, b, start, end, sampleSize)) images.push(image);
    for (const [i, image] of images.entries()) set.image(image, rows.subarray(i * dim, (i + 1) * dim));

    for (let first = 0; first < end - start; first += tileRows) {
      const count = Math.min(tileRows, end - start - first);
      await products.run(count, images.length, rows.subarray(first * dim), rows, similarities);
      for (let i = 0; i < count; i++) similarities[i * images.length + first + i] = Number.NaN;
      lists.fill(0);
      kernels.offerTile({
        rows: count,
        columns: images.length,
        similarities,
        k,
        firstRow: 0,
        firstColumn: 0,
        rowLists: lists,
        leastOfColumn,
      });
      kernels.sortLists(count, k, lists);
      listedIds(count, k, lists, ids);
      for (let i = 0; i < count; i++) {
        const row = rowOf[start + first + i];
        graph.ids[row * graph.width] = row;
        for (let c = 0; c < k; c++) graph.ids[row * graph.width + 1 + c] = rowOf[images[ids[i * k + c]]];
      }
    }
    onProgress?.({ stage: 'knn', done: end, total: nodeCount, unit: 'rows' });
  }
  return graph;
}

function blockStarts(familyStarts: Int32Array): number[] {
  const starts = [0];
  for (const start of familyStarts) if (start - starts[starts.length - 1] >= wantedBlock) starts.push(start);
  const nodeCount = familyStarts[familyStarts.length - 1];
  if (starts[starts.length - 1] < nodeCount) starts.push(nodeCount);
  return starts;
}

/** Distinct images outside [start, end): a random sample, or all of them when there are no more than asked for. */
function sampleOutside(set: SyntheticSet, block: number, start: number, end: number, size: number): Iterable<number> {
  const outside = set.nodeCount - (end - start);
  const imageAt = (place: number) => (place < start ? place : place + end - start);
  if (outside <= size) return Array.from({ length: outside }, (_, place) => imageAt(place));
  const random = set.stream('filler', block);
  const sample = new Set<number>();
  while (sample.size < size) sample.add(imageAt(random.below(outside)));
  return sample;
}
