/**
 * Weighted sums of rows picked by lists in CSR form, the inner loop of attention and of its gradient:
 *
 *   out_i = Σ_e weight_e · row_{index_e},  e in offsets[i] .. offsets[i + 1)     or, with a bias g,  ReLU(that + g)
 *
 * Columns are walked in blocks of 32 floats that stay in registers while the rows of a list stream by. The order of
 * additions is the list's. B sums, E entries, R rows, d columns, strides in floats. The caller guarantees ids in range
 * and that d is a multiple of 4.
 */
import { madd } from './simd';

export function weightedRows(
  count: i32, // B
  dim: i32, // d
  offsets: usize, // i32 [B + 1]: places in `index` and `weights`
  index: usize, // i32 [E]
  weights: usize, // f32 [E]
  rows: usize, // f32 [R × rowStride], already at the first column
  rowStride: i32,
  bias: usize, // g: f32 [d], or 0 for a plain sum
  out: usize, // f32 [B × outStride], already at the first column
  outStride: i32,
): void {
  const rowBytes = (<usize>rowStride) << 2;
  const zero = f32x4.splat(0);
  for (let i = 0; i < count; i++) {
    const first = load<i32>(offsets + ((<usize>i) << 2));
    const last = load<i32>(offsets + ((<usize>i) << 2), 4);
    const target = out + ((<usize>i * outStride) << 2);
    let c = 0;
    for (; c + 32 <= dim; c += 32) {
      const column = (<usize>c) << 2;
      let a0 = zero, a1 = zero, a2 = zero, a3 = zero, a4 = zero, a5 = zero, a6 = zero, a7 = zero;
      for (let e = first; e < last; e++) {
        const at = (<usize>e) << 2;
        const w = v128.load32_splat(weights + at);
        const row = rows + <usize>load<i32>(index + at) * rowBytes + column;
        a0 = madd(w, v128.load(row), a0);
        a1 = madd(w, v128.load(row, 16), a1);
        a2 = madd(w, v128.load(row, 32), a2);
        a3 = madd(w, v128.load(row, 48), a3);
        a4 = madd(w, v128.load(row, 64), a4);
        a5 = madd(w, v128.load(row, 80), a5);
        a6 = madd(w, v128.load(row, 96), a6);
        a7 = madd(w, v128.load(row, 112), a7);
      }
      const o = target + column;
      finish(a0, bias, column, o);
      finish(a1, bias, column + 16, o + 16);
      finish(a2, bias, column + 32, o + 32);
      finish(a3, bias, column + 48, o + 48);
      finish(a4, bias, column + 64, o + 64);
      finish(a5, bias, column + 80, o + 80);
      finish(a6, bias, column + 96, o + 96);
      finish(a7, bias, column + 112, o + 112);
    }
    for (; c < dim; c += 4) {
      const column = (<usize>c) << 2;
      let a = zero;
      for (let e = first; e < last; e++) {
        const at = (<usize>e) << 2;
        const row = rows + <usize>load<i32>(index + at) * rowBytes + column;
        a = madd(v128.load32_splat(weights + at), v128.load(row), a);
      }
      finish(a, bias, column, target + column);
    }
  }
}

// @ts-expect-error: decorator
@inline
function finish(sum: v128, bias: usize, column: usize, out: usize): void {
  v128.store(out, bias ? f32x4.max(f32x4.add(sum, v128.load(bias + column)), f32x4.splat(0)) : sum);
}
