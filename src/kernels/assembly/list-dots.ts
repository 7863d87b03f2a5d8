/**
 * Dot products of the first row of each list with every row of it; of unit rows these are cosines.
 *
 * The order of additions does not depend on the list, so a pair has the same product wherever it is met. B lists, w list
 * width, R local rows, d columns. The caller guarantees that lists hold 0..R-1, then −1 to the end, with at least one
 * entry, and that d is a multiple of 4.
 */
import { dot } from './simd';

export function listDots(
  count: i32, // B
  width: i32, // w
  dim: i32, // d
  lists: usize, // i32 [B × w]
  rows: usize, // f32 [R × d]
  out: usize, // f32 [B × w]; left as it is beside −1
): void {
  const rowBytes = (<usize>dim) << 2;
  for (let i = 0; i < count; i++) {
    const list = lists + ((<usize>i * width) << 2);
    const centre = rows + <usize>load<i32>(list) * rowBytes;
    for (let j = 0; j < width; j++) {
      const local = load<i32>(list + ((<usize>j) << 2));
      if (local < 0) break;
      const row = rows + <usize>local * rowBytes;
      store<f32>(out + ((<usize>i * width + j) << 2), dot(centre, row, rowBytes));
    }
  }
}
