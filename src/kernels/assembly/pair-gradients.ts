/**
 * Gradient of the factored concat head. With x_e = own_i + other_{index_e} over the pairs e of row i, δ_e the gradient at
 * the logit gap, w its weights, σ the PReLU slope:
 *
 *   ∂own_i = Σ_e δ_e w (x_e > 0 ? 1 : σ) = w P + w σ (Σ δ − P),   P = Σ_{x_e > 0} δ_e     (P a column at a time)
 *
 * and, when asked for, added over all rows: sums of δ max(x, 0) and δ min(x, 0), from which ∂w and ∂σ follow.
 * The same kernel serves the left rows and, with the pairs listed by their right end, the right rows.
 *
 * B rows, E pairs, d columns. The caller guarantees ids in range and d a multiple of 4. `out` may be `own`: a column of a
 * row is read before it is written.
 */
import { madd } from './simd';

export function pairGradients(
  count: i32, // B
  dim: i32, // d
  offsets: usize, // i32 [B + 1]
  index: usize, // i32 [E]: rows of `other`
  deltas: usize, // δ: f32 [E]
  own: usize, // f32 [B × d]
  other: usize, // f32 [· × d]
  positive: usize, // w: f32 [d]
  negative: usize, // w · σ: f32 [d]
  out: usize, // f32 [B × d]
  sums: usize, // f32 [2 × d], added to; or 0
): void {
  const rowBytes = (<usize>dim) << 2;
  const zero = f32x4.splat(0);
  for (let i = 0; i < count; i++) {
    const first = load<i32>(offsets + ((<usize>i) << 2));
    const last = load<i32>(offsets + ((<usize>i) << 2), 4);
    const u = own + <usize>i * rowBytes;
    const target = out + <usize>i * rowBytes;
    let total: f32 = 0;
    for (let e = first; e < last; e++) total += load<f32>(deltas + ((<usize>e) << 2));
    const all = f32x4.splat(total);
    let c: usize = 0;
    if (sums) {
      const downs = sums + rowBytes;
      for (; c + 32 <= rowBytes; c += 32) {
        const x0 = v128.load(u + c), x1 = v128.load(u + c, 16);
        let p0 = zero, p1 = zero, up0 = zero, up1 = zero, down0 = zero, down1 = zero;
        for (let e = first; e < last; e++) {
          const at = (<usize>e) << 2;
          const delta = v128.load32_splat(deltas + at);
          const v = other + <usize>load<i32>(index + at) * rowBytes + c;
          const y0 = f32x4.add(x0, v128.load(v)), y1 = f32x4.add(x1, v128.load(v, 16));
          p0 = f32x4.add(p0, v128.and(f32x4.gt(y0, zero), delta));
          p1 = f32x4.add(p1, v128.and(f32x4.gt(y1, zero), delta));
          up0 = madd(delta, f32x4.pmax(y0, zero), up0);
          up1 = madd(delta, f32x4.pmax(y1, zero), up1);
          down0 = madd(delta, f32x4.pmin(y0, zero), down0);
          down1 = madd(delta, f32x4.pmin(y1, zero), down1);
        }
        finish(p0, all, positive + c, negative + c, target + c);
        finish(p1, all, positive + c + 16, negative + c + 16, target + c + 16);
        addTo(sums + c, up0);
        addTo(sums + c + 16, up1);
        addTo(downs + c, down0);
        addTo(downs + c + 16, down1);
      }
      for (; c < rowBytes; c += 16) {
        const x = v128.load(u + c);
        let p = zero, up = zero, down = zero;
        for (let e = first; e < last; e++) {
          const at = (<usize>e) << 2;
          const delta = v128.load32_splat(deltas + at);
          const y = f32x4.add(x, v128.load(other + <usize>load<i32>(index + at) * rowBytes + c));
          p = f32x4.add(p, v128.and(f32x4.gt(y, zero), delta));
          up = madd(delta, f32x4.pmax(y, zero), up);
          down = madd(delta, f32x4.pmin(y, zero), down);
        }
        finish(p, all, positive + c, negative + c, target + c);
        addTo(sums + c, up);
        addTo(downs + c, down);
      }
    }
    for (; c + 64 <= rowBytes; c += 64) {
      const x0 = v128.load(u + c), x1 = v128.load(u + c, 16), x2 = v128.load(u + c, 32), x3 = v128.load(u + c, 48);
      let p0 = zero, p1 = zero, p2 = zero, p3 = zero;
      for (let e = first; e < last; e++) {
        const at = (<usize>e) << 2;
        const delta = v128.load32_splat(deltas + at);
        const v = other + <usize>load<i32>(index + at) * rowBytes + c;
        p0 = f32x4.add(p0, v128.and(f32x4.gt(f32x4.add(x0, v128.load(v)), zero), delta));
        p1 = f32x4.add(p1, v128.and(f32x4.gt(f32x4.add(x1, v128.load(v, 16)), zero), delta));
        p2 = f32x4.add(p2, v128.and(f32x4.gt(f32x4.add(x2, v128.load(v, 32)), zero), delta));
        p3 = f32x4.add(p3, v128.and(f32x4.gt(f32x4.add(x3, v128.load(v, 48)), zero), delta));
      }
      finish(p0, all, positive + c, negative + c, target + c);
      finish(p1, all, positive + c + 16, negative + c + 16, target + c + 16);
      finish(p2, all, positive + c + 32, negative + c + 32, target + c + 32);
      finish(p3, all, positive + c + 48, negative + c + 48, target + c + 48);
    }
    for (; c < rowBytes; c += 16) {
      const x = v128.load(u + c);
      let p = zero;
      for (let e = first; e < last; e++) {
        const at = (<usize>e) << 2;
        const y = f32x4.add(x, v128.load(other + <usize>load<i32>(index + at) * rowBytes + c));
        p = f32x4.add(p, v128.and(f32x4.gt(y, zero), v128.load32_splat(deltas + at)));
      }
      finish(p, all, positive + c, negative + c, target + c);
    }
  }
}

// @ts-expect-error: decorator
@inline
function finish(p: v128, all: v128, positive: usize, negative: usize, out: usize): void {
  v128.store(out, madd(v128.load(positive), p, f32x4.mul(v128.load(negative), f32x4.sub(all, p))));
}

// @ts-expect-error: decorator
@inline
function addTo(sum: usize, value: v128): void {
  v128.store(sum, f32x4.add(v128.load(sum), value));
}
