/**
 * Every trained value of a model in one array, tensors end to end in the order of `concatTensors`, so that an optimiser
 * is one loop. The same layout serves gradients and moments.
 */
import { RandomStream } from '../../graph/random.js';
import { type ConcatConfig, concatTensors } from '../../model/concat.js';
import { type ConcatModel, type Tensor, tensorOf } from '../../model/model.js';

export type Architecture = Pick<ConcatConfig, 'dim' | 'heads' | 'head'>;

/** Arrays by parameter are a multiple of this long; values beyond the last tensor stay zero. */
export const parameterRow = 256;

/** Purpose of the random streams that initialise parameters; the index is the tensor's place. */
const initialPurpose = 64;

export function parameterCount(architecture: Architecture): number {
  const values = concatTensors(architecture).reduce((sum, [, shape]) => sum + sizeOf(shape), 0);
  return Math.ceil(values / parameterRow) * parameterRow;
}

/** Named views of one array by parameter. */
export class Parameters {
  private readonly tensors = new Map<string, Tensor>();

  /** `data`: [parameterCount] floats. */
  constructor(
    readonly architecture: Architecture,
    readonly data: Float32Array,
  ) {
    let start = 0;
    for (const [name, shape] of concatTensors(architecture)) {
      const end = start + sizeOf(shape);
      this.tensors.set(name, { shape, data: data.subarray(start, end) });
      start = end;
    }
  }

  get names(): string[] {
    return [...this.tensors.keys()];
  }

  /** View of one tensor's data. */
  get(name: string): Float32Array {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new RangeError(`no parameter '${name}'`);
    return tensor.data;
  }

  copyFrom(model: ConcatModel): void {
    for (const [name, { data }] of this.tensors) data.set(tensorOf(model, name));
  }

  /**
   * Weight matrices by Glorot & Bengio 2010 ("Xavier"), uniform in ±√(6 / (inputs + outputs)); biases of linear layers
   * uniform in ±1/√inputs as torch.nn.Linear has them; the attention's output bias 0; PReLU slopes 0.25.
   */
  initialise(seed: number): void {
    let index = 0;
    let inputs = 0;
    for (const [name, { shape, data }] of this.tensors) {
      const random = new RandomStream(seed, initialPurpose, index++);
      const uniform = (bound: number) => {
        for (let i = 0; i < data.length; i++) data[i] = (2 * random.uniform() - 1) * bound;
      };
      if (name === 'classifier.1.weight') data.fill(0.25);
      else if (shape.length === 2) {
        inputs = shape[1]; // a layer's bias follows its weight
        uniform(Math.sqrt(6 / (shape[0] + inputs)));
      } else if (/\.attn_\d+\.bias$/.test(name)) data.fill(0);
      else uniform(1 / Math.sqrt(inputs));
    }
  }

  /** A copy as a model of this configuration. */
  toModel(config: ConcatConfig): ConcatModel {
    const tensors = new Map<string, Tensor>();
    for (const [name, { shape, data }] of this.tensors) tensors.set(name, { shape, data: Float32Array.from(data) });
    return { config, tensors };
  }
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
