/** a · b + c, fused where the engine has relaxed SIMD. */
// @ts-expect-error: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
}

// @ts-expect-error: decorator
@inline
export function horizontalSum(v: v128): f32 {
  const pairs = f32x4.add(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

/**
 * Dot product of two rows of `bytes`, a multiple of 16. Four sums run side by side, as an addition waits for the one before;
 * their order depends on the length alone.
 */
// @ts-expect-error: decorator
@inline
export function dot(x: usize, y: usize, bytes: usize): f32 {
  const blockBytes = bytes & ~63;
  let s0 = f32x4.splat(0), s1 = f32x4.splat(0), s2 = f32x4.splat(0), s3 = f32x4.splat(0);
  let c: usize = 0;
  for (; c < blockBytes; c += 64) {
    s0 = madd(v128.load(x + c), v128.load(y + c), s0);
    s1 = madd(v128.load(x + c, 16), v128.load(y + c, 16), s1);
    s2 = madd(v128.load(x + c, 32), v128.load(y + c, 32), s2);
    s3 = madd(v128.load(x + c, 48), v128.load(y + c, 48), s3);
  }
  for (; c < bytes; c += 16) s0 = madd(v128.load(x + c), v128.load(y + c), s0);
  return horizontalSum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
}

/**
 * e^x for x ≤ 0, relative error below 2e-7. Splits x = n ln 2 + r with |r| ≤ ln 2 / 2, a polynomial for e^r (Cephes expf),
 * and puts n into the exponent bits.
 */
// @ts-expect-error: decorator
@inline
export function expNegative(x: f32): f32 {
  if (x < -87.0) return 0;
  const n = nearest<f32>(x * 1.44269504088896341);
  const r = x - n * 0.693359375 - n * -2.12194440e-4;
  let p: f32 = 1.9875691500e-4;
  p = p * r + 1.3981999507e-3;
  p = p * r + 8.3334519073e-3;
  p = p * r + 4.1665795894e-2;
  p = p * r + 1.6666665459e-1;
  p = p * r + 5.0000001201e-1;
  return (p * r * r + r + 1) * reinterpret<f32>((<i32>n + 127) << 23);
}
