/**
 * Resizes 8-bit pixels [height × width × 3] with a triangle filter as wide as what it shrinks: bit for bit what Pillow's BILINEAR
 * gives, whichever way sizes differ. libvips, which decodes the images, lays enlarged ones half a pixel elsewhere.
 */

export interface Pixels {
  /** [height × width × 3], R G B. */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

const channels = 3;
/** Weights are whole numbers of 2⁻²². */
const weightBits = 22;

interface Taps {
  /** Weights for each place of the result, `most` apart. */
  readonly weights: Int32Array;
  readonly firsts: Int32Array;
  readonly counts: Int32Array;
  readonly most: number;
}

/** Columns first, then rows, each rounded to 8 bits. */
export function resize({ data, width, height }: Pixels, toWidth: number, toHeight: number): Pixels {
  let pixels = data;
  if (toWidth !== width) {
    const narrowed = new Uint8Array(toWidth * height * channels);
    const taps = tapsOf(width, toWidth);
    for (let y = 0; y < height; y++) {
      const row = y * width * channels;
      for (let x = 0; x < toWidth; x++) {
        blend(pixels, row + taps.firsts[x] * channels, channels, taps, x, narrowed, (y * toWidth + x) * channels);
      }
    }
    pixels = narrowed;
  }
  if (toHeight !== height) {
    const line = toWidth * channels;
    const lowered = new Uint8Array(toHeight * line);
    const taps = tapsOf(height, toHeight);
    for (let y = 0; y < toHeight; y++) {
      for (let x = 0; x < toWidth; x++) {
        const at = x * channels;
        blend(pixels, taps.firsts[y] * line + at, line, taps, y, lowered, y * line + at);
      }
    }
    pixels = lowered;
  }
  return { data: pixels, width: toWidth, height: toHeight };
}

/** The weighted sum of the pixels that place `to` sees; they start at `from` and lie `stride` apart. */
function blend(
  pixels: Uint8Array,
  from: number,
  stride: number,
  { weights, counts, most }: Taps,
  to: number,
  out: Uint8Array,
  at: number,
): void {
  const half = 1 << (weightBits - 1);
  let r = half;
  let g = half;
  let b = half;
  for (let tap = to * most, end = tap + counts[to], pixel = from; tap < end; tap++, pixel += stride) {
    r += pixels[pixel] * weights[tap];
    g += pixels[pixel + 1] * weights[tap];
    b += pixels[pixel + 2] * weights[tap];
  }
  // Weights are not negative and add up to one, so nothing but their rounding leads out of 0 to 255.
  out[at] = Math.min(255, r >> weightBits);
  out[at + 1] = Math.min(255, g >> weightBits);
  out[at + 2] = Math.min(255, b >> weightBits);
}

function tapsOf(from: number, to: number): Taps {
  const scale = from / to;
  const reach = Math.max(scale, 1);
  const most = Math.ceil(reach) * 2 + 1;
  const taps = { weights: new Int32Array(to * most), firsts: new Int32Array(to), counts: new Int32Array(to), most };
  const weights = new Float64Array(most);
  for (let place = 0; place < to; place++) {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const count = Math.min(from, Math.trunc(centre + reach + 0.5)) - first;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      weights[i] = Math.max(0, 1 - Math.abs((first + i - centre + 0.5) / reach));
      sum += weights[i];
    }
    for (let i = 0; i < count; i++) taps.weights[place * most + i] = 0.5 + (weights[i] / sum) * 2 ** weightBits;
    taps.firsts[place] = first;
    taps.counts[place] = count;
  }
  return taps;
}
