/**
 * Graph attention of one head over short lists of local rows (NAAN 2020, eq. 2-4; GAT, Veličković 2018).
 *
 *   e_j = LeakyReLU(s_i + t_j + β)    p = softmax over the list    out_i (+)= scale · ReLU(Σ_j p_j row_j + g)
 *
 * The columns are walked in blocks of 32 floats that stay in registers while the rows of the list stream by, so each
 * row is read once and the output written once. The order of additions is the list's, whatever the tile.
 *
 * B nodes, w list width, R local rows, d columns, strides in floats. The caller guarantees that lists hold 0..R-1,
 * then −1 to the end, with at least one entry; that d is a multiple of 4; and that `weights` has room for w floats.
 */
import { expNegative, madd } from './simd';

export function attend(
  count: i32, // B
  width: i32, // w
  dim: i32, // d
  lists: usize, // i32 [B × w]
  rows: usize, // f32 [R × rowStride], already at the head's columns
  rowStride: i32,
  centre: usize, // s: f32 [B × scalarStride], already at the head's column
  neighbour: usize, // t: f32 [R × scalarStride]
  scalarStride: i32,
  attentionBias: f32, // β
  alpha: f32, // LeakyReLU slope
  outputBias: usize, // g: f32 [d]
  scale: f32, // 1 / M
  accumulate: bool, // add to `out` (heads after the first)
  out: usize, // f32 [B × d]
  weights: usize, // f32 [w], scratch
): void {
  const rowBytes = <usize>rowStride << 2;
  const zero = f32x4.splat(0);
  const scales = f32x4.splat(scale);
  for (let i = 0; i < count; i++) {
    const list = lists + ((<usize>i * width) << 2);
    const s = load<f32>(centre + ((<usize>i * scalarStride) << 2)) + attentionBias;

    let length = 0;
    let largest: f32 = -Infinity;
    for (; length < width; length++) {
      const row = load<i32>(list + (<usize>length << 2));
      if (row < 0) break;
      const e = s + load<f32>(neighbour + ((<usize>row * scalarStride) << 2));
      const activated = e > 0 ? e : alpha * e;
      store<f32>(weights + (<usize>length << 2), activated);
      largest = max(largest, activated);
    }
    let sum: f32 = 0;
    for (let j = 0; j < length; j++) {
      const at = weights + (<usize>j << 2);
      const p = expNegative(load<f32>(at) - largest);
      store<f32>(at, p);
      sum += p;
    }
    const inverse = f32(1) / sum;
    for (let j = 0; j < length; j++) {
      const at = weights + (<usize>j << 2);
      store<f32>(at, load<f32>(at) * inverse);
    }

    const target = out + ((<usize>i * dim) << 2);
    let c = 0;
    for (; c + 32 <= dim; c += 32) {
      const column = <usize>c << 2;
      let a0 = zero, a1 = zero, a2 = zero, a3 = zero, a4 = zero, a5 = zero, a6 = zero, a7 = zero;
      for (let j = 0; j < length; j++) {
        const p = v128.load32_splat(weights + (<usize>j << 2));
        const row = rows + <usize>load<i32>(list + (<usize>j << 2)) * rowBytes + column;
        a0 = madd(p, v128.load(row), a0);
        a1 = madd(p, v128.load(row, 16), a1);
        a2 = madd(p, v128.load(row, 32), a2);
        a3 = madd(p, v128.load(row, 48), a3);
        a4 = madd(p, v128.load(row, 64), a4);
        a5 = madd(p, v128.load(row, 80), a5);
        a6 = madd(p, v128.load(row, 96), a6);
        a7 = madd(p, v128.load(row, 112), a7);
      }
      const bias = outputBias + column;
      const o = target + column;
      finish(a0, bias, scales, accumulate, o);
      finish(a1, bias + 16, scales, accumulate, o + 16);
      finish(a2, bias + 32, scales, accumulate, o + 32);
      finish(a3, bias + 48, scales, accumulate, o + 48);
      finish(a4, bias + 64, scales, accumulate, o + 64);
      finish(a5, bias + 80, scales, accumulate, o + 80);
      finish(a6, bias + 96, scales, accumulate, o + 96);
      finish(a7, bias + 112, scales, accumulate, o + 112);
    }
    for (; c < dim; c += 4) {
      const column = <usize>c << 2;
      let a = zero;
      for (let j = 0; j < length; j++) {
        const p = v128.load32_splat(weights + (<usize>j << 2));
        a = madd(p, v128.load(rows + <usize>load<i32>(list + (<usize>j << 2)) * rowBytes + column), a);
      }
      finish(a, outputBias + column, scales, accumulate, target + column);
    }
  }
}

// @ts-expect-error: decorator
@inline
function finish(sum: v128, bias: usize, scales: v128, accumulate: bool, out: usize): void {
  const value = f32x4.mul(f32x4.pmax(f32x4.add(sum, v128.load(bias)), f32x4.splat(0)), scales);
  v128.store(out, accumulate ? f32x4.add(v128.load(out), value) : value);
}
