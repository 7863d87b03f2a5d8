/** Passes over products of small whole numbers, which are sums i32 [m × n], and over the operands of such products. */

/**
 * Turns rows of bytes into columns of whole numbers: rows u8 [n × r], `zero` for zero, r a multiple of 16 → columns i8 [r × n].
 * Four rows are taken at a time, so that the bytes of a column come four together.
 */
export function turnRows(count: i32, rowBytes: i32, zero: i32, rows: usize, columns: usize): void {
  const zeros = i8x16.splat(<i8>zero);
  const width = <usize>rowBytes;
  let row = 0;
  for (; count >= 4 && row < count; row += 4) {
    // The last four overlap those before.
    if (row > count - 4) row = count - 4;
    const line = rows + <usize>row * width;
    for (let c: usize = 0; c < width; c += 16) {
      const first = i8x16.sub(v128.load(line + c), zeros);
      const second = i8x16.sub(v128.load(line + width + c), zeros);
      const third = i8x16.sub(v128.load(line + 2 * width + c), zeros);
      const fourth = i8x16.sub(v128.load(line + 3 * width + c), zeros);
      const lowOdd = v128.shuffle<u8>(first, third, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const highOdd = v128.shuffle<u8>(first, third, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const lowEven = v128.shuffle<u8>(second, fourth, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const highEven = v128.shuffle<u8>(second, fourth, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const out = columns + c * <usize>count + <usize>row;
      storeFour(out, count, v128.shuffle<u8>(lowOdd, lowEven, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
      storeFour(
        out + 4 * <usize>count,
        count,
        v128.shuffle<u8>(lowOdd, lowEven, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31),
      );
      storeFour(
        out + 8 * <usize>count,
        count,
        v128.shuffle<u8>(highOdd, highEven, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
      );
      storeFour(
        out + 12 * <usize>count,
        count,
        v128.shuffle<u8>(highOdd, highEven, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31),
      );
    }
  }
  for (; row < count; row++) {
    for (let c: usize = 0; c < width; c++) {
      store<u8>(columns + c * <usize>count + <usize>row, load<u8>(rows + <usize>row * width + c) - <u8>zero);
    }
  }
}

/** Four columns, four bytes of each. */
// @ts-expect-error: decorator
@inline
function storeFour(out: usize, stride: i32, values: v128): void {
  store<i32>(out, i32x4.extract_lane(values, 0));
  store<i32>(out + <usize>stride, i32x4.extract_lane(values, 1));
  store<i32>(out + 2 * <usize>stride, i32x4.extract_lane(values, 2));
  store<i32>(out + 3 * <usize>stride, i32x4.extract_lane(values, 3));
}

/** Takes the greatest sum of each row where it exceeds that of the columns before: greatest and places i32 [m], the place counted from `firstColumn`; of equals the first. */
export function greatestSums(
  rows: i32,
  columns: i32,
  sums: usize,
  firstColumn: i32,
  greatest: usize,
  places: usize,
): void {
  const whole = columns & ~3;
  for (let i = 0; i < rows; i++) {
    const line = sums + ((<usize>i * columns) << 2);
    const before = load<i32>(greatest + (<usize>i << 2));
    let most = i32x4.splat(before);
    for (let j = 0; j < whole; j += 4) most = i32x4.max_s(most, v128.load(line + (<usize>j << 2)));
    let best = max(
      max(i32x4.extract_lane(most, 0), i32x4.extract_lane(most, 1)),
      max(i32x4.extract_lane(most, 2), i32x4.extract_lane(most, 3)),
    );
    for (let j = whole; j < columns; j++) best = max(best, load<i32>(line + (<usize>j << 2)));
    if (best == before) continue;
    const wanted = i32x4.splat(best);
    let place = 0;
    while (place < whole && !v128.any_true(i32x4.eq(v128.load(line + (<usize>place << 2)), wanted))) place += 4;
    while (load<i32>(line + (<usize>place << 2)) != best) place++;
    store<i32>(greatest + (<usize>i << 2), best);
    store<i32>(places + (<usize>i << 2), firstColumn + place);
  }
}

/**
 * Finds where sums reach the least one of their row: least i32 [m] → pairs u32, the column in the high half and the row, counted
 * from `firstRow`, in the low one; rows rising, then columns. Before them stands their number.
 */
export function reachingSums(rows: i32, columns: i32, sums: usize, firstRow: i32, least: usize, pairs: usize): void {
  let end = pairs + 4;
  for (let i = 0; i < rows; i++) {
    const line = sums + ((<usize>i * columns) << 2);
    const wanted = load<i32>(least + (<usize>i << 2));
    const leasts = i32x4.splat(wanted);
    for (let j = 0; j < columns; j += 4) {
      let passed = 0;
      if (j + 4 <= columns) passed = i32x4.bitmask(i32x4.ge_s(v128.load(line + (<usize>j << 2)), leasts));
      else for (let c = j; c < columns; c++) passed |= i32(load<i32>(line + (<usize>c << 2)) >= wanted) << (c - j);
      for (; passed != 0; passed &= passed - 1) {
        store<u32>(end, (<u32>(j + ctz(passed)) << 16) | <u32>(firstRow + i));
        end += 4;
      }
    }
  }
  store<u32>(pairs, <u32>((end - pairs - 4) >> 2));
}
