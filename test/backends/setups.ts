/**
 * The one table of what the conformance suite runs on. A setup that cannot run here says what is missing.
 */
import { existsSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import type { EngineOptions } from '../../src/engine/scoring-run.js';
import { bestSimdLevel } from '../../src/kernels/kernels.js';

/** Vulkan on the CPU, from the Debian package chromium; the loader is from libvulkan1. */
export const swiftShader = '/usr/lib/chromium/vk_swiftshader_icd.json';
process.env.VK_DRIVER_FILES = swiftShader;
process.env.VK_ICD_FILENAMES = swiftShader;
const loader = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib']
  .map((folder) => `${folder}/libvulkan.so.1`)
  .some(existsSync);
export const withoutSwiftShader =
  existsSync(swiftShader) && loader
    ? false
    : `${swiftShader} or libvulkan.so.1 (Debian packages chromium and libvulkan1) is not here`;

/** Node 20 has it behind a flag. */
setFlagsFromString('--experimental-wasm-relaxed-simd');
const withoutRelaxedSimd = bestSimdLevel() === 'relaxed' ? false : `Node ${process.version} has no relaxed SIMD`;

export interface Setup {
  readonly name: string;
  readonly options: EngineOptions;
  /** Why it cannot run here. */
  readonly skip?: string | false;
  /** Largest difference of an entry of a centre, and of a score, from PyTorch's float32. */
  readonly tolerance: number;
  /** On real data, where scores lie closer to 0 and 1 and lists are longer. */
  readonly realTolerance: number;
}

/**
 * Largest difference of a score of head `pairwise` between back-ends. Features are the same to the bit in the first round;
 * between rounds scores are multiples of 2⁻¹⁸, one of which moves the log-odds of a score near 0 or 1 by a few percent.
 */
export const pairwiseTolerance = 2e-4;

const exact = { tolerance: 2e-6, realTolerance: 5e-6 };

export const setups: readonly Setup[] = [
  { name: 'reference', options: { backend: 'reference', threads: 1 }, ...exact },
  { name: 'native, scalar', options: { backend: 'native', simd: 'scalar', threads: 1 }, ...exact },
  { name: 'native, SIMD', options: { backend: 'native', simd: 'simd', threads: 2 }, ...exact },
  {
    name: 'native, relaxed SIMD',
    options: { backend: 'native', simd: 'relaxed', threads: 2 },
    ...exact,
    skip: withoutRelaxedSimd,
  },
  { name: 'onnx, cpu', options: { backend: 'onnx', provider: 'cpu', threads: 2 }, ...exact },
  {
    name: 'onnx, webgpu on SwiftShader',
    options: { backend: 'onnx', provider: 'webgpu', threads: 2 },
    ...exact,
    skip: withoutSwiftShader,
  },
  { name: 'tfjs', options: { backend: 'tfjs', threads: 2 }, ...exact },
];
