/**
 * Turns products of codes into upper bounds of cosines, in place: u = sum · (s t) + (a + b), with the step s and margin a of
 * the row and the step t and margin b of the column. sums i32 [m × n] become f32; steps and margins f32 [m] and [n].
 */
export function upperBounds(
  rows: i32, // m
  columns: i32, // n
  sums: usize,
  rowSteps: usize,
  rowMargins: usize,
  columnSteps: usize,
  columnMargins: usize,
): void {
  const lineBytes = <usize>columns << 2;
  const wholeBytes = lineBytes & ~15;
  for (let i = 0; i < rows; i++) {
    const step = load<f32>(rowSteps + (<usize>i << 2));
    const margin = load<f32>(rowMargins + (<usize>i << 2));
    const steps = f32x4.splat(step);
    const margins = f32x4.splat(margin);
    let c: usize = 0;
    for (; c < wholeBytes; c += 16) {
      const scale = f32x4.mul(steps, v128.load(columnSteps + c));
      const shift = f32x4.add(margins, v128.load(columnMargins + c));
      v128.store(sums + c, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(v128.load(sums + c)), scale), shift));
    }
    for (; c < lineBytes; c += 4) {
      const scale = step * load<f32>(columnSteps + c);
      store<f32>(sums + c, <f32>load<i32>(sums + c) * scale + (margin + load<f32>(columnMargins + c)));
    }
    sums += lineBytes;
  }
}
