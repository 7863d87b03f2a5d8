/**
 * Sketches of unit vectors: r whole numbers of seven bits a row, whose inner products follow the cosines, for a search
 * that looks at many pairs and computes the cosines of few.
 *
 * Rows are projected on the r directions that hold most of their squares (orthogonal iteration on the second moments of
 * a sample), turned at random so that every direction holds as much as any other and one step size suits all, and
 * rounded. n rows, d columns.
 */
import { RandomStream } from '../graph/random.js';
import { Linear, Products, wholeLimit, wholeZero } from '../kernels/gemm.js';
import { dot } from '../kernels/scalar.js';
import type { UnitRows } from './unit-rows.js';

export interface Sketch {
  readonly dim: number;
  /** r, a multiple of 16. */
  readonly length: number;
  /** [r × d], in shared memory. */
  readonly basis: Float32Array;
  /** Steps in a unit. */
  readonly scale: number;
}

const sampleRows = 8192;
const leastLength = 256;
const leastShare = 0.9;
const iterations = 3;
/** Values beyond this many standard deviations are cut off. */
const reach = 4.2;
/** Random streams of a search use this purpose and a number of their own. */
const searchStream = { purpose: 16, directions: 0, rotation: 1 } as const;

/** r of sketches that so many directions suffice for, as they do as a rule. */
export function leastSketchLength(dim: number): number {
  return Math.ceil(Math.min(dim, leastLength) / 16) * 16;
}

/** Norm of the sketch of a unit vector, nearly. */
export function sketchNorm(length: number): number {
  return (wholeLimit / reach) * Math.sqrt(length);
}

type SampledRows = Pick<UnitRows, 'rowCount' | 'dim' | 'gather'>;

/** Chooses the directions from a sample of the rows: the same ones every time. */
export async function fitSketch(rows: SampledRows): Promise<Sketch> {
  const { dim } = rows;
  const products = await Products.create();
  try {
    const moments = await secondMoments(rows, products);
    let used = Math.min(dim, leastLength);
    let directions = await leading(moments, dim, used, products);
    let held = await share(moments, dim, directions, products);
    while (used < dim && held < leastShare) {
      used = Math.min(dim, 2 * used);
      directions = await leading(moments, dim, used, products);
      held = await share(moments, dim, directions, products);
    }
    const length = Math.ceil(used / 16) * 16;
    const basis = new Float32Array(new SharedArrayBuffer(4 * length * dim));
    const turned = new Float32Array(used * dim);
    const rotation = orthonormal(gaussians(used * used, searchStream.rotation), used, used);
    await products.plain([used, dim, used], rotation, directions, turned);
    basis.set(turned);
    const deviation = Math.sqrt(held / used);
    return { dim, length, basis, scale: wholeLimit / (reach * deviation) };
  } finally {
    await products.release();
  }
}

/** Makes sketches on the calling thread. */
export class Sketcher {
  private constructor(
    private readonly linear: Linear,
    private readonly sketch: Sketch,
  ) {}

  private projected = new Float32Array(0);

  static async create(sketch: Sketch): Promise<Sketcher> {
    const linear = await Linear.create(sketch.basis.slice(), new Float32Array(sketch.length));
    return new Sketcher(linear, sketch);
  }

  /** x [count × d] → out [count × r], 64 for zero, as the left operand of `WholeProducts`. */
  async run(count: number, x: Float32Array, out: Uint8Array): Promise<void> {
    const { length, scale } = this.sketch;
    if (this.projected.length < count * length) this.projected = new Float32Array(count * length);
    await this.linear.run(count, x, this.projected);
    for (let at = 0; at < count * length; at++) {
      const steps = this.projected[at] * scale;
      out[at] = Math.max(-wholeLimit, Math.min(wholeLimit, steps)) + wholeZero + 0.5;
    }
  }

  release(): Promise<void> {
    return this.linear.release();
  }
}

/** Mean of x xᵀ over a sample spread evenly: [d × d]. */
async function secondMoments(rows: SampledRows, products: Products): Promise<Float32Array> {
  const { rowCount, dim } = rows;
  const count = Math.min(rowCount, sampleRows);
  const sample = new Float32Array(count * dim);
  rows.gather(spread(rowCount, count), count, sample);
  const moments = new Float32Array(dim * dim);
  await products.inner([dim, dim, count], sample, sample, moments);
  for (let at = 0; at < moments.length; at++) moments[at] /= count;
  return moments;
}

/** `count` of 0..n − 1, spread evenly. */
export function spread(rowCount: number, count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => Math.floor((i * rowCount) / count));
}

/** Orthonormal directions [count × d] that hold most of the moments. */
async function leading(moments: Float32Array, dim: number, count: number, products: Products): Promise<Float32Array> {
  const start = gaussians(count * dim, searchStream.directions);
  if (count === dim) return orthonormal(start, count, dim);
  let directions = start;
  const next = new Float32Array(count * dim);
  for (let i = 0; i < iterations; i++) {
    await products.plain([count, dim, dim], directions, moments, next);
    directions = orthonormal(next, count, dim);
  }
  return directions;
}

/** Share of the squares that orthonormal directions [· × d] hold: Σ qᵀ M q over the trace of M. */
async function share(
  moments: Float32Array,
  dim: number,
  directions: Float32Array,
  products: Products,
): Promise<number> {
  let trace = 0;
  for (let c = 0; c < dim; c++) trace += moments[c * dim + c];
  const turned = new Float32Array(directions.length);
  await products.plain([directions.length / dim, dim, dim], directions, moments, turned);
  return dot(directions, turned) / trace;
}

/** Gram and Schmidt, modified, on rows [count × d] in place. A row that depends on those before it becomes zero. */
function orthonormal(rows: Float32Array, count: number, dim: number): Float32Array {
  for (let i = 0; i < count; i++) {
    const row = rows.subarray(i * dim, (i + 1) * dim);
    const before = dot(row, row);
    for (let j = 0; j < i; j++) {
      const other = rows.subarray(j * dim, (j + 1) * dim);
      const along = dot(row, other);
      for (let c = 0; c < dim; c++) row[c] -= along * other[c];
    }
    const squared = dot(row, row);
    const factor = squared > 1e-10 * before ? 1 / Math.sqrt(squared) : 0;
    for (let c = 0; c < dim; c++) row[c] *= factor;
  }
  return rows;
}

function gaussians(count: number, stream: number): Float32Array {
  const values = new Float32Array(count);
  new RandomStream(1, searchStream.purpose, stream).gaussians(values);
  return values;
}
