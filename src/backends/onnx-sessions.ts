/** The common part of back-ends on ONNX Runtime: options of sessions, sizes and tensors of their inputs. */
import { type InferenceSession, type SessionOptions, Tensor } from '../kernels/onnx-runtime.js';
import { oneThread } from '../kernels/onnx-session.js';
import type { OnnxProvider } from './names.js';
import { missingFor, unavailable } from './onnx-providers.js';

/** Sizes of an input: the capacity halved up to this often. */
const halvings = 3;

/** Opens sessions on a provider. Throws BACKEND_UNAVAILABLE with the reason where the provider cannot start. */
export async function onProvider<T>(
  provider: OnnxProvider,
  device: number,
  open: (options: SessionOptions) => Promise<T>,
): Promise<T> {
  const missing = provider === 'webgpu' ? undefined : missingFor(provider);
  if (missing) throw unavailable(provider, missing);
  try {
    return await open(sessionOptions(provider, device));
  } catch (error) {
    throw unavailable(provider, error);
  }
}

/** Options of a session on one provider. Where it is a device, a node that the device cannot run is an error. */
function sessionOptions(provider: OnnxProvider, device: number): SessionOptions {
  if (provider === 'cpu') return oneThread;
  return {
    ...oneThread,
    executionProviders: [provider === 'webgpu' ? 'webgpu' : { name: provider, deviceId: device }],
    extra: { session: { disable_cpu_ep_fallback: '1' } },
  };
}

/** The least of the fixed sizes of an input that holds `count`. TensorRT plans for one size alone. */
export function paddedSize(count: number, most: number, provider: OnnxProvider): number {
  let size = most;
  if (provider === 'tensorrt') return size;
  for (let i = 0; i < halvings && Math.ceil(size / 2) >= count; i++) size = Math.ceil(size / 2);
  return size;
}

export async function releaseAll(sessions: Iterable<InferenceSession>): Promise<void> {
  for (const session of sessions) await session.release();
}

/** The first values of `data`, as many as the shape has. */
export function floats(data: Float32Array, ...shape: number[]): Tensor {
  return new Tensor('float32', data.subarray(0, sizeOf(shape)), shape);
}

export function ints(data: Int32Array, ...shape: number[]): Tensor {
  return new Tensor('int32', data.subarray(0, sizeOf(shape)), shape);
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, length) => size * length, 1);
}
