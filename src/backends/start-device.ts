/** Starts a back-end on a device, for the thread that owns it. */
import { NaanError } from '../errors.js';
import type { BackendModel, BackendOf, TileCapacity } from './backend.js';
import { holdsRealAdapter } from './onnx-providers.js';
import type { BackendChoice } from './plan.js';
import { startBackend } from './start.js';

/** `device`: its number among those of the provider. Throws BACKEND_UNAVAILABLE. */
export async function startDevice<Model extends BackendModel>(
  { backend, provider, realAdapter }: BackendChoice,
  model: Model,
  capacity: TileCapacity,
  device: number,
): Promise<BackendOf<Model>> {
  const started = await startBackend(backend, model, capacity, { provider, device });
  if (!realAdapter || provider !== 'webgpu' || holdsRealAdapter()) return started;
  await started.release();
  throw new NaanError('BACKEND_UNAVAILABLE', 'webgpu found a software adapter only, which must be asked for by name');
}
