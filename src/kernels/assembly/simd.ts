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
