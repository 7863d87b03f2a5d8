/**
 * A scorer made by construction rather than by training: the concat head set so that the logit gap is
 * bias − scale · mean_r |r · (c_a − c_b)| over the rows r of a random orthogonal matrix, that is, a distance between the
 * neighbourhood means c that uniform attention gives. Symmetric in the pair.
 */
import type { ConcatModel, Tensor } from '../src/model/model.js';

export function smoothedDistanceModel(dim: number, hops: readonly [k1: number, k2: number]): ConcatModel {
  const [k1, k2] = hops;
  const tensors = new Map<string, Tensor>();
  const add = (name: string, shape: number[], value: (row: number, column: number) => number) => {
    const columns = shape[shape.length - 1];
    const length = shape.reduce((product, size) => product * size, 1);
    const data = Float32Array.from({ length }, (_, i) => value(Math.floor(i / columns), i % columns));
    tensors.set(name, { shape, data });
  };
  const rotation = randomRotation(dim);
  // W x + 1 keeps every feature positive, so that ReLU passes it; the constant cancels in c_a − c_b.
  add('attention.attn_0.bias', [dim], () => 0);
  add('attention.attn_0.w.weight', [dim, dim], (row, column) => (row === column ? 1 : 0));
  add('attention.attn_0.w.bias', [dim], () => 1);
  add('attention.attn_0.a.weight', [1, 2 * dim], () => 0);
  add('attention.attn_0.a.bias', [1], () => 0);
  add('classifier.0.weight', [dim, 2 * dim], (r, c) =>
    c < dim ? rotation[r * dim + c] : -rotation[r * dim + c - dim],
  );
  add('classifier.0.bias', [dim], () => 0);
  add('classifier.1.weight', [dim], () => -1);
  add('classifier.2.weight', [2, dim], (row) => (row === 0 ? 0 : -8 / Math.sqrt(dim)));
  add('classifier.2.bias', [2], () => 0);
  const provenance = { source: 'constructed: distance between neighbourhood means' };
  return { config: { head: 'concat', dim, heads: 1, alpha: 0.2, k1, k2, sampleHops: 20, provenance }, tensors };
}

/** Gram-Schmidt on rows of seeded, roughly Gaussian numbers [dim × dim]. */
function randomRotation(dim: number): Float32Array {
  let state = 7;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  const rows: Float32Array[] = [];
  for (let r = 0; r < dim; r++) {
    const row = Float32Array.from({ length: dim }, () => uniform() + uniform() + uniform());
    for (const other of rows) {
      const shared = row.reduce((sum, value, c) => sum + value * other[c], 0);
      for (let c = 0; c < dim; c++) row[c] -= shared * other[c];
    }
    const norm = Math.hypot(...row);
    rows.push(row.map((value) => value / norm));
  }
  return Float32Array.from(rows.flatMap((row) => [...row]));
}
