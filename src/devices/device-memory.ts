/** The memory of devices that a search may fill with rows that stay there. */
import { spawnSync } from 'node:child_process';
import type { BackendChoice } from '../backends/plan.js';

/** Where nothing tells how much there is. */
const unknownBytes = 2 ** 30;
/** Share of what is free: products, and what libraries take, need the rest. */
const share = 0.5;

/** Half of what is free on the fullest of some devices, as NVIDIA's tool tells it; 1 GiB for other devices. */
export function residentBytesOf(choices: readonly BackendChoice[], devices: readonly number[]): number {
  if (!choices.some(({ provider }) => provider === 'cuda' || provider === 'tensorrt')) return unknownBytes;
  const visible = process.env.CUDA_VISIBLE_DEVICES?.split(',') ?? [];
  const names = devices.map((device) => visible[device] ?? String(device));
  const query = ['--query-gpu=memory.free', '--format=csv,noheader,nounits', `--id=${names.join(',')}`];
  const { status, stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8', timeout: 10_000 });
  const mebibytes = status === 0 ? stdout.trim().split('\n').map(Number) : [];
  const free = mebibytes.length > 0 ? Math.min(...mebibytes) * 2 ** 20 : Number.NaN;
  return Number.isFinite(free) ? Math.floor(share * free) : unknownBytes;
}

/** Whether what is called a device computes in the memory of this process. */
export function computesInHostMemory({ backend, provider }: BackendChoice): boolean {
  return backend !== 'onnx' || provider === 'cpu' || provider === undefined;
}
