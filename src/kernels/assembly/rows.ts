/** Small reductions over rows. */
import { dot, horizontalSum, madd } from './simd';

/** Squared Euclidean norm of each row: rows f32 [n × d], any d → out f32 [n]. */
export function rowNorms(count: i32, dim: i32, rows: usize, out: usize): void {
  const rowBytes = (<usize>dim) << 2;
  const wholeBytes = rowBytes & ~15;
  for (let i = 0; i < count; i++) {
    const row = rows + <usize>i * rowBytes;
    let sum = f32x4.splat(0);
    for (let c: usize = 0; c < wholeBytes; c += 16) {
      const x = v128.load(row + c);
      sum = madd(x, x, sum);
    }
    let norm = horizontalSum(sum);
    for (let c = wholeBytes; c < rowBytes; c += 4) norm += load<f32>(row + c) * load<f32>(row + c);
    store<f32>(out + ((<usize>i) << 2), norm);
  }
}

/** Copies rows picked[0..count) of `rows` to `out`; a row is rowBytes long, a multiple of 16. */
export function pickRows(count: i32, rowBytes: usize, picked: usize, rows: usize, out: usize): void {
  for (let i = 0; i < count; i++) {
    const row = rows + <usize>load<i32>(picked + (<usize>i << 2)) * rowBytes;
    for (let c: usize = 0; c < rowBytes; c += 16) v128.store(out + c, v128.load(row + c));
    out += rowBytes;
  }
}

/**
 * Dot products of each row with one vector, d a multiple of 4: rows f32 [n × stride] (already at the first column), vector f32 [d] →
 * out f32 [n × outStride].
 */
export function rowDots(
  count: i32,
  dim: i32,
  rows: usize,
  stride: i32,
  vector: usize,
  out: usize,
  outStride: i32,
): void {
  const rowBytes = (<usize>stride) << 2;
  const columnBytes = (<usize>dim) << 2;
  for (let i = 0; i < count; i++) {
    store<f32>(out + ((<usize>i * outStride) << 2), dot(rows + <usize>i * rowBytes, vector, columnBytes));
  }
}

/**
 * Gradient of out = scale · ReLU(·), in place of what ReLU returned: values f32 [n × stride] (already at the first column)
 * become scale · gradient where they are above zero, else 0. gradient f32 [n × d], d a multiple of 4.
 */
export function reluGradient(count: i32, dim: i32, values: usize, stride: i32, gradient: usize, scale: f32): void {
  const columnBytes = (<usize>dim) << 2;
  const zero = f32x4.splat(0);
  for (let i = 0; i < count; i++) {
    const row = values + ((<usize>i * stride) << 2);
    const g = gradient + <usize>i * columnBytes;
    for (let c: usize = 0; c < columnBytes; c += 16) {
      const scaled = f32x4.mul(v128.load(g + c), f32x4.splat(scale));
      v128.store(row + c, v128.and(f32x4.gt(v128.load(row + c), zero), scaled));
    }
  }
}
