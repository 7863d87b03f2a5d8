/**
 * Random numbers that any thread can reproduce: a stream is named by (seed, purpose, index) and depends on nothing else,
 * so rows can be generated in any order and any grouping. The generator is sfc32 (C. Doty-Humphrey, PractRand).
 */
export class RandomStream {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  /** seed, purpose, index: integers in [0, 2³²). */
  constructor(seed: number, purpose: number, index: number) {
    this.a = mix(seed ^ 0x6a09e667);
    this.b = mix(this.a ^ purpose);
    this.c = mix(this.b ^ index);
    for (let i = 0; i < 12; i++) this.next();
  }

  /** 32 random bits as a signed integer. */
  next(): number {
    const value = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + value) | 0;
    return value;
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return (this.next() >>> 0) / 2 ** 32;
  }

  /** Uniform integer in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.uniform() * limit);
  }

  /** One standard normal number. */
  gaussian(): number {
    return quantiles[this.next() & 0xffff];
  }

  /** Fills `out` with independent standard normal numbers, two from each 32 random bits. */
  gaussians(out: Float32Array): void {
    let { a, b, c, counter } = this;
    for (let i = 0; i < out.length; i += 2) {
      const value = (((a + b) | 0) + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + value) | 0;
      out[i] = quantiles[value & 0xffff];
      if (i + 1 < out.length) out[i + 1] = quantiles[value >>> 16];
    }
    this.a = a;
    this.b = b;
    this.c = c;
    this.counter = counter;
  }
}

/** Spreads every bit of a 32-bit integer over all of them (the finaliser of MurmurHash3, A. Appleby). */
function mix(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

const quantiles = normalQuantiles(2 ** 16);

/**
 * The standard normal quantile x(p) at p = (i + ½) / count, so that a uniform index draws a normal number. It solves
 * x' = √(2π) exp(x² / 2) from x(½) = 0, and the lower half mirrors the upper. Scaled to a variance of exactly one.
 */
function normalQuantiles(count: number): Float32Array {
  const upper = new Float64Array(count / 2);
  const slope = (x: number) => Math.sqrt(2 * Math.PI) * Math.exp((x * x) / 2);
  let x = slope(0) / 2 / count;
  let squares = 0;
  for (let i = 0; i < upper.length; i++) {
    upper[i] = x;
    squares += x * x;
    const k1 = slope(x) / count;
    const k2 = slope(x + k1 / 2) / count;
    const k3 = slope(x + k2 / 2) / count;
    const k4 = slope(x + k3) / count;
    x += (k1 + 2 * k2 + 2 * k3 + k4) / 6;
  }
  const scale = Math.sqrt(upper.length / squares);
  const table = new Float32Array(count);
  for (let i = 0; i < upper.length; i++) {
    table[count / 2 + i] = upper[i] * scale;
    table[count / 2 - 1 - i] = -upper[i] * scale;
  }
  return table;
}

/** 0..count-1 in random order (Fisher and Yates). */
export function shuffled(count: number, random: RandomStream): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const moved = order[i];
    order[i] = order[j];
    order[j] = moved;
  }
  return order;
}
