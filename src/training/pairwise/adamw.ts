/** Adam with decoupled weight decay (Loshchilov & Hutter 2019), in place. `step` counts from 1. */
export function adamw(
  parameters: Float32Array,
  gradients: Float32Array,
  moments: { readonly first: Float32Array; readonly second: Float32Array },
  { step, learningRate, weightDecay }: { step: number; learningRate: number; weightDecay: number },
): void {
  const { first, second } = moments;
  const rate = learningRate / (1 - beta1 ** step);
  const rootScale = 1 / Math.sqrt(1 - beta2 ** step);
  const kept = 1 - learningRate * weightDecay;
  for (let i = 0; i < parameters.length; i++) {
    const g = gradients[i];
    first[i] += (1 - beta1) * (g - first[i]);
    second[i] += (1 - beta2) * (g * g - second[i]);
    parameters[i] = kept * parameters[i] - (rate * first[i]) / (Math.sqrt(second[i]) * rootScale + epsilon);
  }
}

const beta1 = 0.9;
const beta2 = 0.999;
const epsilon = 1e-8;
