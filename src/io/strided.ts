type Elements = Int32Array | Float32Array | Float64Array;

/** Writes the elements of a strided view, strides in elements, to `out` in C order, and returns it. */
export function gatherStrided<T extends Elements>(
  view: T,
  shape: readonly number[],
  strides: readonly number[],
  out: T,
): T {
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0, place = 0; i < out.length; i++) {
    out[i] = view[place];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += strides[axis];
      if (++index[axis] < shape[axis]) break;
      place -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return out;
}
