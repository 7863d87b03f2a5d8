/**
 * The scalars of graph attention over lists in CSR form, and their gradient. Of one head, for list i with entries e:
 *
 *   x_e = s_i + t_{index_e} + β     p = softmax over the list of LeakyReLU(x)     out_i = Σ_e k_e row_{index_e}
 *
 * where k is p, or p · mask / (1 − rate) under dropout. With G_i the gradient at out_i and q_e = k_e (G_i · row_e):
 *
 *   ∂p · p = q     ∂x_e = (q_e − p_e Σ q) · LeakyReLU'(x_e)     ∂s_i = Σ_e ∂x_e     (∂t and ∂β are sums of ∂x as well)
 *
 * B lists, E entries, R rows, d columns, strides in floats. The caller guarantees ids in range, no empty list, and d a
 * multiple of 4.
 */
import { expNegative, horizontalSum, madd } from './simd';

/** p of each entry. */
export function attentionWeights(
  count: i32, // B
  offsets: usize, // i32 [B + 1]
  index: usize, // i32 [E]
  centre: usize, // s: f32 [B × scalarStride], already at the head's column
  neighbour: usize, // t: f32 [R × scalarStride]
  scalarStride: i32,
  attentionBias: f32, // β
  alpha: f32,
  weights: usize, // p: f32 [E], out
): void {
  for (let i = 0; i < count; i++) {
    const first = load<i32>(offsets + ((<usize>i) << 2));
    const last = load<i32>(offsets + ((<usize>i) << 2), 4);
    const s = load<f32>(centre + ((<usize>i * scalarStride) << 2)) + attentionBias;
    let largest: f32 = -Infinity;
    for (let e = first; e < last; e++) {
      const row = load<i32>(index + ((<usize>e) << 2));
      const x = s + load<f32>(neighbour + ((<usize>row * scalarStride) << 2));
      const activated = x > 0 ? x : alpha * x;
      store<f32>(weights + ((<usize>e) << 2), activated);
      largest = max(largest, activated);
    }
    let sum: f32 = 0;
    for (let e = first; e < last; e++) {
      const at = weights + ((<usize>e) << 2);
      const p = expNegative(load<f32>(at) - largest);
      store<f32>(at, p);
      sum += p;
    }
    const inverse = f32(1) / sum;
    for (let e = first; e < last; e++) {
      const at = weights + ((<usize>e) << 2);
      store<f32>(at, load<f32>(at) * inverse);
    }
  }
}

/** ∂x of each entry and ∂s of each list. */
export function attentionGradient(
  count: i32, // B
  dim: i32, // d
  offsets: usize, // i32 [B + 1]
  index: usize, // i32 [E]
  rows: usize, // f32 [R × rowStride], already at the head's columns
  gradient: usize, // G: f32 [B × rowStride], already at the head's columns
  rowStride: i32,
  weights: usize, // p: f32 [E]
  kept: usize, // k: f32 [E]
  centre: usize, // s: f32 [B × scalarStride]
  neighbour: usize, // t: f32 [R × scalarStride]
  scalarStride: i32,
  attentionBias: f32, // β
  alpha: f32,
  slopes: usize, // ∂x: f32 [E], out
  centreSlopes: usize, // ∂s: f32 [B × scalarStride], out
): void {
  const rowBytes = (<usize>rowStride) << 2;
  const columnBytes = (<usize>dim) << 2;
  for (let i = 0; i < count; i++) {
    const first = load<i32>(offsets + ((<usize>i) << 2));
    const last = load<i32>(offsets + ((<usize>i) << 2), 4);
    const g = gradient + <usize>i * rowBytes;
    let total: f32 = 0;
    let e = first;
    for (; e + 4 <= last; e += 4) {
      const entry = (<usize>e) << 2;
      const r0 = rows + <usize>load<i32>(index + entry) * rowBytes;
      const r1 = rows + <usize>load<i32>(index + entry, 4) * rowBytes;
      const r2 = rows + <usize>load<i32>(index + entry, 8) * rowBytes;
      const r3 = rows + <usize>load<i32>(index + entry, 12) * rowBytes;
      let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
      for (let c: usize = 0; c < columnBytes; c += 16) {
        const x = v128.load(g + c);
        a0 = madd(x, v128.load(r0 + c), a0);
        a1 = madd(x, v128.load(r1 + c), a1);
        a2 = madd(x, v128.load(r2 + c), a2);
        a3 = madd(x, v128.load(r3 + c), a3);
      }
      total += weigh(slopes + entry, kept + entry, horizontalSum(a0));
      total += weigh(slopes + entry + 4, kept + entry + 4, horizontalSum(a1));
      total += weigh(slopes + entry + 8, kept + entry + 8, horizontalSum(a2));
      total += weigh(slopes + entry + 12, kept + entry + 12, horizontalSum(a3));
    }
    for (; e < last; e++) {
      const entry = (<usize>e) << 2;
      const row = rows + <usize>load<i32>(index + entry) * rowBytes;
      let a = f32x4.splat(0);
      for (let c: usize = 0; c < columnBytes; c += 16) a = madd(v128.load(g + c), v128.load(row + c), a);
      total += weigh(slopes + entry, kept + entry, horizontalSum(a));
    }

    const s = load<f32>(centre + ((<usize>i * scalarStride) << 2)) + attentionBias;
    let sum: f32 = 0;
    for (let e = first; e < last; e++) {
      const at = (<usize>e) << 2;
      const row = load<i32>(index + at);
      const x = s + load<f32>(neighbour + ((<usize>row * scalarStride) << 2));
      const beforeSlope = load<f32>(slopes + at) - load<f32>(weights + at) * total;
      const slope = x > 0 ? beforeSlope : alpha * beforeSlope;
      store<f32>(slopes + at, slope);
      sum += slope;
    }
    store<f32>(centreSlopes + ((<usize>i * scalarStride) << 2), sum);
  }
}

/** Stores and returns q = k · product. */
// @ts-expect-error: decorator
@inline
function weigh(out: usize, kept: usize, product: f32): f32 {
  const q = load<f32>(kept) * product;
  store<f32>(out, q);
  return q;
}
