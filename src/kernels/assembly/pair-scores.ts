/**
 * Logit gaps of candidate edges under the factored concat head:
 *
 *   gap_e = Σ_c w_c · PReLU(u_a[c] + v_b[c]) + bias,   PReLU(x) = max(x, 0) + slope_c · min(x, 0)
 *
 * `positive` is w and `negative` is w · slope, so the activation costs two fused multiply-adds. Edges that share their
 * left row come in runs; four of a run are walked together so that u, w and w · slope are loaded once for all of them.
 * Each edge keeps its own accumulators: its sum does not depend on the edges around it.
 *
 * `pmax` and `pmin` are one instruction each, `max` and `min` several, for signed zeros and NaN; with x first both keep a NaN.
 *
 * E edges, d columns. The caller guarantees local row ids in range and d a multiple of 4.
 */
import { horizontalSum, madd } from './simd';

export function pairScores(
  edgeCount: i32, // E
  dim: i32, // d
  pairs: usize, // i32 [E × 2]: left row, right row
  left: usize, // u: f32 [· × d]
  right: usize, // v: f32 [· × d]
  positive: usize, // f32 [d]
  negative: usize, // f32 [d]
  bias: f32,
  gaps: usize, // f32 [E]
): void {
  const rowBytes = (<usize>dim) << 2;
  const zero = f32x4.splat(0);
  for (let e = 0; e < edgeCount; ) {
    const pair = pairs + ((<usize>e) << 3);
    const a = load<i32>(pair);
    const u = left + <usize>a * rowBytes;
    const v0 = right + <usize>load<i32>(pair, 4) * rowBytes;
    const four = e + 4 <= edgeCount && load<i32>(pair, 8) == a && load<i32>(pair, 16) == a && load<i32>(pair, 24) == a;
    if (four) {
      const v1 = right + <usize>load<i32>(pair, 12) * rowBytes;
      const v2 = right + <usize>load<i32>(pair, 20) * rowBytes;
      const v3 = right + <usize>load<i32>(pair, 28) * rowBytes;
      let p0 = zero,
        p1 = zero,
        p2 = zero,
        p3 = zero;
      let n0 = zero,
        n1 = zero,
        n2 = zero,
        n3 = zero;
      for (let c: usize = 0; c < rowBytes; c += 16) {
        const x = v128.load(u + c);
        const w = v128.load(positive + c);
        const ws = v128.load(negative + c);
        const x0 = f32x4.add(x, v128.load(v0 + c));
        const x1 = f32x4.add(x, v128.load(v1 + c));
        const x2 = f32x4.add(x, v128.load(v2 + c));
        const x3 = f32x4.add(x, v128.load(v3 + c));
        p0 = madd(w, f32x4.pmax(x0, zero), p0);
        n0 = madd(ws, f32x4.pmin(x0, zero), n0);
        p1 = madd(w, f32x4.pmax(x1, zero), p1);
        n1 = madd(ws, f32x4.pmin(x1, zero), n1);
        p2 = madd(w, f32x4.pmax(x2, zero), p2);
        n2 = madd(ws, f32x4.pmin(x2, zero), n2);
        p3 = madd(w, f32x4.pmax(x3, zero), p3);
        n3 = madd(ws, f32x4.pmin(x3, zero), n3);
      }
      const gap = gaps + ((<usize>e) << 2);
      store<f32>(gap, horizontalSum(f32x4.add(p0, n0)) + bias);
      store<f32>(gap, horizontalSum(f32x4.add(p1, n1)) + bias, 4);
      store<f32>(gap, horizontalSum(f32x4.add(p2, n2)) + bias, 8);
      store<f32>(gap, horizontalSum(f32x4.add(p3, n3)) + bias, 12);
      e += 4;
    } else {
      let p0 = zero,
        n0 = zero;
      for (let c: usize = 0; c < rowBytes; c += 16) {
        const x0 = f32x4.add(v128.load(u + c), v128.load(v0 + c));
        p0 = madd(v128.load(positive + c), f32x4.pmax(x0, zero), p0);
        n0 = madd(v128.load(negative + c), f32x4.pmin(x0, zero), n0);
      }
      store<f32>(gaps + ((<usize>e) << 2), horizontalSum(f32x4.add(p0, n0)) + bias);
      e += 1;
    }
  }
}
