/**
 * Keeps the k most similar rows of each row while tiles of similarities pass by.
 *
 * A list is a heap of k unsigned 64-bit keys, the least at its root. A key holds the similarity in its high word, as
 * bits that order like the number, and the complement of the neighbour's id in its low word, so that one comparison
 * orders by falling similarity, then by rising id: the k kept do not depend on the order of arrival. Key 0 is an empty
 * place. Once lists have filled, few similarities reach the least one kept; sixteen at a time are compared with it, and
 * only those that reach it cost more.
 *
 * A tile may serve both its rows and its columns, since similarity is symmetric. The caller guarantees that an id comes
 * to a list once, that NaN, which no list takes, stands where a row meets itself, and that 15 floats after the tile may
 * be read.
 */

export function offerTile(
  rows: i32, // m
  columns: i32, // n
  similarities: usize, // f32 [m × n]
  k: i32,
  firstRow: i32, // id of row 0
  firstColumn: i32, // id of column 0
  rowLists: usize, // u64 [m × k]
  columnLists: usize, // u64 [n × k], or 0 to serve rows only
  leastOfColumn: usize, // f32 [n + 15], scratch
): void {
  const listBytes = <usize>k << 3;
  for (let j = 0; j < columns + 15; j++) {
    const serves = columnLists != 0 && j < columns;
    store<f32>(leastOfColumn + (<usize>j << 2), serves ? least(columnLists + <usize>j * listBytes) : Infinity);
  }
  for (let i = 0; i < rows; i++) {
    const list = rowLists + <usize>i * listBytes;
    const line = similarities + ((<usize>i * columns) << 2);
    let leastOfRow = least(list);
    let kept = f32x4.splat(leastOfRow);
    for (let j = 0; j < columns; j += 16) {
      const at = <usize>j << 2;
      let passed = passingOf(line + at, kept, leastOfColumn + at, columns - j);
      for (; passed != 0; passed &= passed - 1) {
        const column = j + ctz(passed);
        const similarity = load<f32>(line + (<usize>column << 2));
        if (similarity >= leastOfRow) {
          offer(list, k, keyOf(similarity, firstColumn + column));
          leastOfRow = least(list);
          kept = f32x4.splat(leastOfRow);
        }
        const leastAt = leastOfColumn + (<usize>column << 2);
        if (similarity >= load<f32>(leastAt)) {
          const other = columnLists + <usize>column * listBytes;
          offer(other, k, keyOf(similarity, firstRow + i));
          store<f32>(leastAt, least(other));
        }
      }
    }
  }
}

/** Where similarities reach the least one of their column: places i · n + j, rising, with their number before them. NaN reaches none. */
export function reaching(
  rows: i32, // m
  columns: i32, // n
  similarities: usize, // f32 [m × n]
  leastOfColumn: usize, // f32 [n + 15]
  places: usize, // i32 [1 + m × n]
): void {
  const ofRow = f32x4.splat(Infinity);
  let count = 0;
  for (let i = 0; i < rows; i++) {
    const line = similarities + ((<usize>i * columns) << 2);
    for (let j = 0; j < columns; j += 16) {
      const at = <usize>j << 2;
      let passed = passingOf(line + at, ofRow, leastOfColumn + at, columns - j);
      for (; passed != 0; passed &= passed - 1) {
        count++;
        store<i32>(places + (<usize>count << 2), i * columns + j + ctz(passed));
      }
    }
  }
  store<i32>(places, count);
}

/** The least similarity that each of some lists keeps: lists u64 [count × k] → out f32 [count]. */
export function leastKept(count: i32, k: i32, lists: usize, out: usize): void {
  for (let i = 0; i < count; i++) store<f32>(out + (<usize>i << 2), least(lists + ((<usize>i * k) << 3)));
}

/**
 * Offers a tile of sums of whole numbers to rows picked from one block of lists, and to its columns. A pair may come more than once: a list takes
 * an id once, and never its own. Ids count lists: that of row i is firstRow + picked[i], and its list the picked[i]-th.
 * The least similarity that each list keeps lies in an array of its own, which stays in the cache where the lists do not.
 */
export function offerPicked(
  rows: i32, // m
  columns: i32, // n
  similarities: usize, // i32 [m × n], of less than 24 bits
  k: i32,
  picked: usize, // i32 [m]
  firstRow: i32, // id of the first of rowLists
  firstColumn: i32, // id of column 0
  rowLists: usize, // u64 [· × k]
  rowLeast: usize, // f32 [·]: what `leastKept` gives of rowLists, kept up to date
  columnLists: usize, // u64 [n × k], which may be some of rowLists
  columnLeast: usize, // f32 [n + 15]: the same of columnLists, and then some of rowLeast
): void {
  const listBytes = <usize>k << 3;
  for (let i = 0; i < rows; i++) {
    const local = load<i32>(picked + (<usize>i << 2));
    const list = rowLists + <usize>local * listBytes;
    const rowId = firstRow + local;
    const line = similarities + ((<usize>i * columns) << 2);
    const leastAt = rowLeast + (<usize>local << 2);
    let leastOfRow = load<f32>(leastAt);
    let kept = f32x4.splat(leastOfRow);
    for (let j = 0; j < columns; j += 16) {
      const at = <usize>j << 2;
      let passed = passingSums(line + at, kept, columnLeast + at, columns - j);
      for (; passed != 0; passed &= passed - 1) {
        const column = j + ctz(passed);
        if (firstColumn + column == rowId) continue;
        const similarity = <f32>load<i32>(line + (<usize>column << 2));
        if (similarity >= leastOfRow) {
          offerOnce(list, k, keyOf(similarity, firstColumn + column));
          leastOfRow = least(list);
          store<f32>(leastAt, leastOfRow);
          kept = f32x4.splat(leastOfRow);
        }
        const leastOfColumn = columnLeast + (<usize>column << 2);
        if (similarity >= load<f32>(leastOfColumn)) {
          const other = columnLists + <usize>column * listBytes;
          offerOnce(other, k, keyOf(similarity, rowId));
          store<f32>(leastOfColumn, least(other));
        }
      }
    }
  }
}

/** Mask of those of four similarities that their row or their column might keep: those that reach the lesser of the two. */
// @ts-expect-error: decorator
@inline
function passing(similarities: v128, leastOfRow: v128, leastOfColumn: usize): v128 {
  return f32x4.ge(similarities, f32x4.pmin(leastOfRow, v128.load(leastOfColumn)));
}

/** Compares sixteen floats, of which the first `count` exist; the result is bits from the lowest on. */
// @ts-expect-error: decorator
@inline
function passingOf(similarities: usize, leastOfRow: v128, leastOfColumn: usize, count: i32): i32 {
  return bitsOf(
    passing(v128.load(similarities), leastOfRow, leastOfColumn),
    passing(v128.load(similarities, 16), leastOfRow, leastOfColumn + 16),
    passing(v128.load(similarities, 32), leastOfRow, leastOfColumn + 32),
    passing(v128.load(similarities, 48), leastOfRow, leastOfColumn + 48),
    count,
  );
}

/** The same of sixteen whole numbers. */
// @ts-expect-error: decorator
@inline
function passingSums(sums: usize, leastOfRow: v128, leastOfColumn: usize, count: i32): i32 {
  return bitsOf(
    passing(f32x4.convert_i32x4_s(v128.load(sums)), leastOfRow, leastOfColumn),
    passing(f32x4.convert_i32x4_s(v128.load(sums, 16)), leastOfRow, leastOfColumn + 16),
    passing(f32x4.convert_i32x4_s(v128.load(sums, 32)), leastOfRow, leastOfColumn + 32),
    passing(f32x4.convert_i32x4_s(v128.load(sums, 48)), leastOfRow, leastOfColumn + 48),
    count,
  );
}

// @ts-expect-error: decorator
@inline
function bitsOf(first: v128, second: v128, third: v128, fourth: v128, count: i32): i32 {
  const any = v128.or(v128.or(first, second), v128.or(third, fourth));
  if (!v128.any_true(any)) return 0;
  const passed =
    i32x4.bitmask(first) |
    (i32x4.bitmask(second) << 4) |
    (i32x4.bitmask(third) << 8) |
    (i32x4.bitmask(fourth) << 12);
  return count < 16 ? passed & ((1 << count) - 1) : passed;
}

/** Turns heaps into lists by falling similarity, then rising id: lists u64 [count × k]. */
export function sortLists(count: i32, k: i32, lists: usize): void {
  for (let i = 0; i < count; i++) {
    const list = lists + ((<usize>i * k) << 3);
    for (let end = k - 1; end > 0; end--) {
      const last = list + (<usize>end << 3);
      const key = load<u64>(last);
      store<u64>(last, load<u64>(list));
      sift(list, end, key);
    }
  }
}

// @ts-expect-error: decorator
@inline
function offer(list: usize, k: i32, key: u64): void {
  if (key > load<u64>(list)) sift(list, k, key);
}

/** A pair has the same similarity, and so the same key, whenever it comes. */
// @ts-expect-error: decorator
@inline
function offerOnce(list: usize, k: i32, key: u64): void {
  if (key > load<u64>(list) && !holds(list, k, key)) sift(list, k, key);
}

function holds(list: usize, k: i32, key: u64): bool {
  const wanted = i64x2.splat(<i64>key);
  const end = list + (<usize>k << 3);
  let at = list;
  for (; at + 16 <= end; at += 16) {
    if (v128.any_true(i64x2.eq(v128.load(at), wanted))) return true;
  }
  return at < end && load<u64>(at) == key;
}

/** Puts a key in the place of the least one and restores the heap. */
function sift(list: usize, k: i32, key: u64): void {
  const end = list + (<usize>k << 3);
  let hole = list;
  for (let child = list + 8; child < end; child = (hole << 1) - list + 8) {
    const first = load<u64>(child);
    const second = child + 8 < end ? load<u64>(child, 8) : u64.MAX_VALUE;
    const next = min(first, second);
    if (next >= key) break;
    store<u64>(hole, next);
    hole = child + (<usize>(second < first) << 3);
  }
  store<u64>(hole, key);
}

/** Adding zero makes −0 a 0. The sign bit is flipped for positive numbers, every bit for negative ones. */
// @ts-expect-error: decorator
@inline
function keyOf(similarity: f32, id: i32): u64 {
  const bits = reinterpret<u32>(similarity + 0);
  const ordered = bits ^ (<u32>(<i32>bits >> 31) | 0x80000000);
  return (<u64>ordered << 32) | <u64>(~(<u32>id));
}

/** The least similarity kept; −Infinity while there is an empty place. */
// @ts-expect-error: decorator
@inline
function least(list: usize): f32 {
  const ordered = <u32>(load<u64>(list) >> 32);
  const bits = ordered ^ (<u32>(<i32>~ordered >> 31) | 0x80000000);
  return ordered == 0 ? -Infinity : reinterpret<f32>(bits);
}
