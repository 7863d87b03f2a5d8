/**
 * A trained scorer: its configuration and named tensors, row-major float32. What the configuration of a head holds and which
 * tensors it has is in a file of its own; a model of a new head is one more member of `ModelConfig`, and one line in
 * `modelKinds`.
 */
import { NaanError } from '../errors.js';
import { oneLine } from '../io/messages.js';
import { type ConcatConfig, concatModels } from './concat.js';
import type { ModelKind, NamedShape } from './model-kind.js';
import { type PairwiseConfig, pairwiseModels } from './pairwise.js';

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export type ModelConfig = ConcatConfig | PairwiseConfig;

type KindOf = { readonly [Name in ModelConfig['head']]: ModelKind<Extract<ModelConfig, { readonly head: Name }>> };

export const modelKinds: KindOf = { concat: concatModels, pairwise: pairwiseModels };

export interface NaanModel<Config extends ModelConfig = ModelConfig> {
  readonly config: Config;
  readonly tensors: ReadonlyMap<string, Tensor>;
}
export type ConcatModel = NaanModel<ConcatConfig>;
export type PairwiseModel = NaanModel<PairwiseConfig>;

/** The kind of a model, which takes its configuration. */
export function kindOf({ head }: ModelConfig): ModelKind<ModelConfig> {
  return modelKinds[head] as ModelKind<ModelConfig>;
}

/** Names and shapes a model of this configuration must have, in file order. */
export function expectedTensors(config: ModelConfig): NamedShape[] {
  return kindOf(config).tensors(config);
}

/** Checks that every expected tensor is there with its shape. `where` names the source. Throws BAD_MODEL. */
export function checkModel(model: NaanModel, where: string): NaanModel {
  checkShapes(model.config, model.tensors, where);
  return model;
}

/** Checks names and shapes of tensors, whether they have been read or not. `where` names the source. Throws BAD_MODEL. */
export function checkShapes(
  config: ModelConfig,
  tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  where: string,
): void {
  // A file may claim any number of them: they are listed, and the missing one named, when there are not far too few.
  const { repeats, of, tensors: needed } = kindOf(config).size(config);
  if (repeats > tensors.size || needed > 10 * tensors.size + 100) {
    throw new NaanError('BAD_MODEL', `${where}: ${tensors.size} tensors are too few for ${repeats} ${of}`);
  }
  for (const [name, shape] of expectedTensors(config)) {
    const tensor = tensors.get(name);
    if (!tensor)
      throw new NaanError('BAD_MODEL', `${where}: tensor '${name}' is missing, expected [${shape.join(' × ')}]`);
    if (tensor.shape.join() !== shape.join()) {
      throw new NaanError(
        'BAD_MODEL',
        `${where}: tensor '${name}' has shape [${oneLine(tensor.shape.join(' × '))}], expected [${shape.join(' × ')}]`,
      );
    }
  }
}

/** The data of a tensor that `checkModel` has seen. */
export function tensorOf(model: NaanModel, name: string): Float32Array {
  const tensor = model.tensors.get(name);
  if (!tensor) throw new NaanError('BAD_MODEL', `tensor '${name}' is missing`);
  return tensor.data;
}
