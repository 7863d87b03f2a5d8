/**
 * Dot products of the first row of each list with every row of it; of unit rows these are cosines.
 *
 * Four sums run side by side, and the order of additions does not depend on the list, so a pair has the same product
 * wherever it is met. B lists, w list width, R local rows, d columns. The caller guarantees that lists hold 0..R-1, then −1
 * to the end, with at least one entry, and that d is a multiple of 4.
 */
import { horizontalSum, madd } from './simd';

export function listDots(
  count: i32, // B
  width: i32, // w
  dim: i32, // d
  lists: usize, // i32 [B × w]
  rows: usize, // f32 [R × d]
  out: usize, // f32 [B × w]; left as it is beside −1
): void {
  const rowBytes = (<usize>dim) << 2;
  const blockBytes = rowBytes & ~63;
  const zero = f32x4.splat(0);
  for (let i = 0; i < count; i++) {
    const list = lists + ((<usize>i * width) << 2);
    const centre = rows + <usize>load<i32>(list) * rowBytes;
    for (let j = 0; j < width; j++) {
      const local = load<i32>(list + ((<usize>j) << 2));
      if (local < 0) break;
      const row = rows + <usize>local * rowBytes;
      let s0 = zero, s1 = zero, s2 = zero, s3 = zero;
      let c: usize = 0;
      for (; c < blockBytes; c += 64) {
        s0 = madd(v128.load(centre + c), v128.load(row + c), s0);
        s1 = madd(v128.load(centre + c, 16), v128.load(row + c, 16), s1);
        s2 = madd(v128.load(centre + c, 32), v128.load(row + c, 32), s2);
        s3 = madd(v128.load(centre + c, 48), v128.load(row + c, 48), s3);
      }
      for (; c < rowBytes; c += 16) s0 = madd(v128.load(centre + c), v128.load(row + c), s0);
      const sum = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3));
      store<f32>(out + ((<usize>i * width + j) << 2), horizontalSum(sum));
    }
  }
}
