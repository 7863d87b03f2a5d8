/** A small recogniser that tests build: a convolution of 8 × 8 blocks, ReLU, and a product, written as ONNX; and its twin in NumPy. */
import { writeFileSync } from 'node:fs';
import { constant, node, onnxModel } from '../../src/kernels/onnx-graph.js';

export const dim = 16;
const maps = 4;
const block = 8;

export interface ModelForm {
  readonly batch?: number | string;
  readonly size?: number | string;
  readonly channelsLast?: boolean;
  /** Without ReLU, whose values all point one way, embeddings of different images are apart. */
  readonly linear?: boolean;
  readonly values?: number;
  /** Batch that the output declares, whatever the input has. */
  readonly declared?: number | string;
}

/** Weights are a fixed wave, so that the twin in Python needs no file of them. */
function wave(count: number, scale: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.fround(Math.sin(i * i * 0.37 + 1) * scale));
}

export function writeRecogniser(
  path: string,
  { batch = 'n', size = 112, channelsLast = false, linear = false, values = dim, declared = batch }: ModelForm = {},
): void {
  const features = maps * (112 / block) ** 2;
  const image = channelsLast ? [batch, size, size, 3] : [batch, 3, size, size];
  const nodes = [
    ...(channelsLast ? [node('Transpose', ['image'], ['planes'], { perm: [0, 3, 1, 2] })] : []),
    node('Conv', [channelsLast ? 'planes' : 'image', 'kernel'], ['maps'], {
      kernel_shape: [block, block],
      strides: [block, block],
    }),
    ...(linear ? [] : [node('Relu', ['maps'], ['positive'])]),
    node('Flatten', [linear ? 'maps' : 'positive'], ['flat'], { axis: 1 }),
    node('MatMul', ['flat', 'weights'], ['embedding']),
  ];
  const constants = [
    constant('kernel', [maps, 3, block, block], wave(maps * 3 * block * block, 0.05)),
    constant('weights', [features, values], wave(features * values, 0.1)),
  ];
  const model = onnxModel({
    nodes,
    constants,
    inputs: [['image', image]],
    outputs: [['embedding', [declared, values]]],
  });
  writeFileSync(path, model);
}

/** `embed(images [n, 112, 112, 3] of float32)`: rows [n, 16]. */
export const twin = `
import numpy as np
def wave(count, scale): return (np.sin(np.arange(count) ** 2 * 0.37 + 1) * scale).astype('f4')
kernel = wave(${maps * 3 * block * block}, 0.05).reshape(${maps}, -1)
weights = wave(${maps * (112 / block) ** 2 * dim}, 0.1).reshape(-1, ${dim})
def embed(x):
  n = len(x)
  blocks = x.reshape(n, 14, 8, 14, 8, 3).transpose(0, 1, 3, 5, 2, 4).reshape(n, 196, -1)
  maps = np.maximum(blocks @ kernel.T, 0).transpose(0, 2, 1).reshape(n, -1)
  return maps @ weights
`;
