/**
 * One step of Adam with L2 weight decay (Kingma & Ba 2015; the decay is added to the clipped gradient, as torch.optim.Adam
 * does, not to the step as AdamW does):
 *
 *   g = clip · gradient + decay · θ     m += (1 − β1) (g − m)     v += (1 − β2) (g² − v)
 *   θ = θ − rate · m / (√v · rootScale + ε)      rate = lr / (1 − β1^t),  rootScale = 1 / √(1 − β2^t)
 *
 * `count` values, a multiple of 4.
 */
export function adam(
  count: i32,
  gradient: usize, // f32 [count], left as it is
  parameters: usize, // θ
  firstMoments: usize, // m
  secondMoments: usize, // v
  clip: f32,
  decay: f32,
  blend1: f32, // 1 − β1
  blend2: f32, // 1 − β2
  epsilon: f32,
  rate: f32,
  rootScale: f32,
): void {
  const bytes = (<usize>count) << 2;
  for (let at: usize = 0; at < bytes; at += 16) {
    const theta = v128.load(parameters + at);
    const g = f32x4.add(
      f32x4.mul(f32x4.splat(clip), v128.load(gradient + at)),
      f32x4.mul(f32x4.splat(decay), theta),
    );
    const m0 = v128.load(firstMoments + at);
    const v0 = v128.load(secondMoments + at);
    const m = f32x4.add(m0, f32x4.mul(f32x4.splat(blend1), f32x4.sub(g, m0)));
    const v = f32x4.add(v0, f32x4.mul(f32x4.splat(blend2), f32x4.sub(f32x4.mul(g, g), v0)));
    const root = f32x4.add(f32x4.mul(f32x4.sqrt(v), f32x4.splat(rootScale)), f32x4.splat(epsilon));
    v128.store(firstMoments + at, m);
    v128.store(secondMoments + at, v);
    v128.store(parameters + at, f32x4.sub(theta, f32x4.div(f32x4.mul(f32x4.splat(rate), m), root)));
  }
}
