/** Starting a back-end by its name: its module, and the library that it needs, are loaded then and not before. */
import { NaanError } from '../errors.js';
import type { FactoredModel } from '../model/factored.js';
import type { RoundNetworks } from '../model/round-network.js';
import type { BackendFactory, BackendModel, BackendOf, BackendOptions, KnnColumns, TileCapacity } from './backend.js';
import type { BackendName } from './names.js';

type Loaders<Model extends BackendModel> = Readonly<Record<BackendName, () => Promise<BackendFactory<Model>>>>;

const concat: Loaders<FactoredModel> = {
  native: async () => (await import('./concat/native.js')).createNative,
  onnx: async () => (await import('./concat/onnx.js')).createOnnx,
  reference: async () => (await import('./concat/reference.js')).createReference,
  tfjs: async () => (await import('./concat/tfjs.js')).createTfjs,
};
const pairwise: Loaders<RoundNetworks> = {
  native: async () => (await import('./pairwise/onnx.js')).createNative,
  onnx: async () => (await import('./pairwise/onnx.js')).createOnnx,
  reference: async () => (await import('./pairwise/reference.js')).createReference,
  tfjs: async () => (await import('./pairwise/tfjs.js')).createTfjs,
};
const knn: Loaders<KnnColumns> = {
  native: async () => (await import('./knn/native.js')).createNative,
  onnx: async () => (await import('./knn/onnx.js')).createOnnx,
  reference: async () => (await import('./knn/reference.js')).createReference,
  tfjs: async () => (await import('./knn/tfjs.js')).createTfjs,
};

function loadersFor(model: BackendModel) {
  if ('columns' in model) return knn;
  return 'rounds' in model ? pairwise : concat;
}

/** Throws BACKEND_UNAVAILABLE with the reason when it cannot start, BAD_USAGE when the tile asked for does not fit. */
export async function startBackend<Model extends BackendModel>(
  name: BackendName,
  model: Model,
  capacity: TileCapacity,
  options: BackendOptions = {},
): Promise<BackendOf<Model>> {
  try {
    const loaders = loadersFor(model) as Loaders<Model>;
    const create = await loaders[name]();
    return await create(model, capacity, options);
  } catch (error) {
    if (error instanceof NaanError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new NaanError('BACKEND_UNAVAILABLE', `back-end ${name} could not start: ${reason}`, { cause: error });
  }
}
