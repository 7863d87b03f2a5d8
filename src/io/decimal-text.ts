/** Numbers as text, written as bytes: many times as fast as strings are made of them. */

const [zero, minus, dot] = [48, 45, 46];

/** Writes the digits of an int32 at `at` and returns where they end. */
export function putInteger(text: Uint8Array, at: number, value: number): number {
  let rest = Math.abs(value);
  if (value < 0) text[at++] = minus;
  let digits = 1;
  for (let bound = 10; rest >= bound; bound *= 10) digits++;
  for (let i = at + digits - 1; i >= at; i--) {
    const tenth = Math.floor(rest / 10);
    text[i] = zero + rest - 10 * tenth;
    rest = tenth;
  }
  return at + digits;
}

/** Writes `value.toFixed(6)`, of a float32 from -1000 to 1000, at `at` and returns where it ends. */
export function putSixDecimals(text: Uint8Array, at: number, value: number): number {
  if (value < 0) text[at++] = minus;
  // 24 bits of a float32 by the 20 of a million are exact in float64.
  const millionths = Math.floor(Math.abs(value) * 1e6 + 0.5);
  const whole = Math.floor(millionths / 1e6);
  let rest = millionths - 1e6 * whole;
  const point = putInteger(text, at, whole);
  text[point] = dot;
  for (let i = point + 6; i > point; i--) {
    const tenth = Math.floor(rest / 10);
    text[i] = zero + rest - 10 * tenth;
    rest = tenth;
  }
  return point + 7;
}
