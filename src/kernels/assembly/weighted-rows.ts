/**
 * Weighted sums of rows picked by lists in CSR form, the inner loop of attention and of its gradient:
 *
 *   out_i = Σ_e weight_e · row_{index_e},  e in offsets[i] .. offsets[i + 1)     or, with a bias g,  ReLU(that + g)
 *
 * Rows stream by four at a time, whole, while the sum stays in the first-level cache: rows are read in the order that
 * memory prefetches. The order of additions is the list's. B sums, E entries, R rows, d columns, strides in floats. The
 * caller guarantees ids in range, that d is a multiple of 4, and that `out` is none of the rows.
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
  const columnBytes = (<usize>dim) << 2;
  const zero = f32x4.splat(0);
  for (let i = 0; i < count; i++) {
    let e = load<i32>(offsets + ((<usize>i) << 2));
    const last = load<i32>(offsets + ((<usize>i) << 2), 4);
    const target = out + ((<usize>i * outStride) << 2);
    for (let c: usize = 0; c < columnBytes; c += 16) v128.store(target + c, zero);
    for (; e + 4 <= last; e += 4) {
      const entry = (<usize>e) << 2;
      const w0 = v128.load32_splat(weights + entry), w1 = v128.load32_splat(weights + entry, 4);
      const w2 = v128.load32_splat(weights + entry, 8), w3 = v128.load32_splat(weights + entry, 12);
      const r0 = rows + <usize>load<i32>(index + entry) * rowBytes;
      const r1 = rows + <usize>load<i32>(index + entry, 4) * rowBytes;
      const r2 = rows + <usize>load<i32>(index + entry, 8) * rowBytes;
      const r3 = rows + <usize>load<i32>(index + entry, 12) * rowBytes;
      for (let c: usize = 0; c < columnBytes; c += 16) {
        let a = madd(w0, v128.load(r0 + c), v128.load(target + c));
        a = madd(w1, v128.load(r1 + c), a);
        a = madd(w2, v128.load(r2 + c), a);
        v128.store(target + c, madd(w3, v128.load(r3 + c), a));
      }
    }
    for (; e < last; e++) {
      const entry = (<usize>e) << 2;
      const w0 = v128.load32_splat(weights + entry);
      const r0 = rows + <usize>load<i32>(index + entry) * rowBytes;
      for (let c: usize = 0; c < columnBytes; c += 16) {
        v128.store(target + c, madd(w0, v128.load(r0 + c), v128.load(target + c)));
      }
    }
    if (bias) {
      for (let c: usize = 0; c < columnBytes; c += 16) {
        v128.store(target + c, f32x4.pmax(f32x4.add(v128.load(target + c), v128.load(bias + c)), zero));
      }
    }
  }
}
