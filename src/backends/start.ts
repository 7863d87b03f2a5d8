/** Starting a back-end by its name: its module, and the library that it needs, are loaded then and not before. */
import { NaanError } from '../errors.js';
import type { FactoredModel } from '../model/factored.js';
import type { Backend, BackendFactory, BackendOptions, TileCapacity } from './backend.js';
import type { BackendName } from './names.js';

const loaders: Readonly<Record<BackendName, () => Promise<BackendFactory>>> = {
  native: async () => (await import('./native.js')).createNative,
  onnx: async () => (await import('./onnx.js')).createOnnx,
  reference: async () => (await import('./reference.js')).createReference,
  tfjs: async () => (await import('./tfjs.js')).createTfjs,
};

/** Throws BACKEND_UNAVAILABLE with the reason when it cannot start, BAD_USAGE when the tile asked for does not fit. */
export async function startBackend(
  name: BackendName,
  model: FactoredModel,
  capacity: TileCapacity,
  options: BackendOptions = {},
): Promise<Backend> {
  try {
    const create = await loaders[name]();
    return await create(model, capacity, options);
  } catch (error) {
    if (error instanceof NaanError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new NaanError('BACKEND_UNAVAILABLE', `back-end ${name} could not start: ${reason}`, { cause: error });
  }
}
