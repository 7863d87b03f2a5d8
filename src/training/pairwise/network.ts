/** One pass of one network over its pairs, on one thread: the same to the bit on any. */
import { NaanError } from '../../errors.js';
import { RandomStream } from '../../graph/random.js';
import { adamw } from './adamw.js';
import type { EdgeSample, EpochResult, EpochTask, NetworkState, PairwiseTrainingJob } from './job.js';
import { layersOf, MlpStep } from './mlp-step.js';
import { shuffled } from './pairs.js';

/** Purposes of random streams. */
const initialPurpose = 82;
const shufflePurpose = 83;

/** Steps that are compiled once for passes of the same shape. */
export class NetworkTrainer {
  private step: MlpStep | undefined;

  /** Throws CANCELLED when the job is to end, DIVERGED when the loss is no number any more. */
  async run({ network, epoch, state }: EpochTask, job: PairwiseTrainingJob): Promise<EpochResult> {
    const { settings, units, table, sample, round, cancel } = job;
    const { seed, epochs, learningRate, weightDecay } = settings;
    const rows = rowsOf(sample, network);
    const step = await this.stepOf(units, Math.min(settings.batch, rows.length));
    const stream = round * 256 + network;
    const { mean, scale, parameters, first, second } = state ?? initialState(table, rows, units, seed, stream);
    const moments = { first, second };
    shuffle(rows, new RandomStream(seed, shufflePurpose, stream * 4096 + epoch));
    const steps = Math.floor(rows.length / step.batch);
    const sums = { loss: 0, correct: 0, positives: 0, norm: 0 };
    const ready = step.on(parameters, mean, scale);
    let rate = 0;
    for (let s = 0; s < steps; s++) {
      if (Atomics.load(cancel, 0) !== 0) throw new NaanError('CANCELLED', 'cancelled');
      gather(table, sample.same, rows, s * step.batch, step);
      sums.loss += await ready();
      sums.positives += count(step.targets);
      sums.correct += countRight(step);
      sums.norm += Math.sqrt(sumOfSquares(step.gradients));
      const done = epoch * steps + s;
      rate = (learningRate / 2) * (1 + Math.cos((Math.PI * done) / (epochs * steps)));
      adamw(parameters, step.gradients, moments, { step: done + 1, learningRate: rate, weightDecay });
    }
    const pairs = steps * step.batch;
    const loss = sums.loss / steps;
    if (!Number.isFinite(loss)) {
      throw new NaanError(
        'DIVERGED',
        `the loss of round ${round + 1}, epoch ${epoch + 1} is ${loss}: expected a lower --lr than ${learningRate}`,
      );
    }
    return {
      epoch: {
        round,
        network,
        epoch,
        steps,
        pairs,
        positives: sums.positives,
        learningRate: rate,
        loss,
        accuracy: sums.correct / pairs,
        gradientNorm: sums.norm / steps,
      },
      state: { mean, scale, parameters, first, second },
    };
  }

  private async stepOf(units: readonly number[], batch: number): Promise<MlpStep> {
    const { step } = this;
    if (step && step.batch === batch && String(step.units) === String(units)) return step;
    await step?.release();
    this.step = await MlpStep.create(units, batch);
    return this.step;
  }
}

/** The rows of the table that a network learns from: of pairs with neither end in its fold. */
function rowsOf({ foldOfKey, foldOfTarget }: EdgeSample, network: number): Uint32Array {
  let found = 0;
  const rows = new Uint32Array(foldOfKey.length);
  for (let row = 0; row < rows.length; row++) {
    if (foldOfKey[row] !== network && foldOfTarget[row] !== network) rows[found++] = row;
  }
  return rows.subarray(0, found);
}

/** Puts items in the order of `shuffled`. */
function shuffle(items: Uint32Array, random: RandomStream): void {
  const order = shuffled(items.length, random);
  for (let i = 0; i < order.length; i++) order[i] = items[order[i]];
  items.set(order);
}

// Loops of a step are functions of their own: in an asynchronous function they would not stay compiled.

function gather(table: Float32Array, same: Uint8Array, rows: Uint32Array, from: number, step: MlpStep): void {
  const { features, targets, batch } = step;
  const inputs = step.units[0];
  let at = 0;
  for (let i = 0; i < batch; i++) {
    const row = rows[from + i];
    targets[i] = same[row];
    const start = row * inputs;
    for (let f = 0; f < inputs; f++) features[at + f] = table[start + f];
    at += inputs;
  }
}

function count(targets: Float32Array): number {
  let ones = 0;
  for (let i = 0; i < targets.length; i++) ones += targets[i];
  return ones;
}

function countRight({ targets, logits }: MlpStep): number {
  let right = 0;
  for (let i = 0; i < targets.length; i++) if (logits[i] >= 0 === (targets[i] === 1)) right++;
  return right;
}

function sumOfSquares(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i];
  return sum;
}

function initialState(
  table: Float32Array,
  rows: Uint32Array,
  units: readonly number[],
  seed: number,
  stream: number,
): NetworkState {
  const parameters = initialParameters(units, new RandomStream(seed, initialPurpose, stream));
  const { length } = parameters;
  return {
    ...standardiser(table, units[0], rows),
    parameters,
    first: new Float32Array(length),
    second: new Float32Array(length),
  };
}

/** Mean and one by standard deviation of each feature over rows of a table [S × F]. */
function standardiser(table: Float32Array, inputs: number, rows: Uint32Array) {
  const mean = new Float64Array(inputs);
  const variance = new Float64Array(inputs);
  for (let i = 0; i < rows.length; i++) {
    const start = rows[i] * inputs;
    for (let f = 0; f < inputs; f++) mean[f] += table[start + f];
  }
  for (let f = 0; f < inputs; f++) mean[f] /= rows.length;
  for (let i = 0; i < rows.length; i++) {
    const start = rows[i] * inputs;
    for (let f = 0; f < inputs; f++) {
      const away = table[start + f] - mean[f];
      variance[f] += away * away;
    }
  }
  const scale = Float32Array.from(variance, (sum) => 1 / (Math.sqrt(sum / rows.length) + leastDeviation));
  return { mean: new Float32Array(mean), scale };
}

/** The least deviation that a feature is divided by, so that one that is always the same stays a number. */
const leastDeviation = 1e-6;

/** Uniform in ±1/√inputs for weights and biases, as torch.nn.Linear has them. */
function initialParameters(units: readonly number[], random: RandomStream): Float32Array {
  const length = units.slice(1).reduce((sum, size, l) => sum + size * (units[l] + 1), 0);
  const parameters = new Float32Array(length);
  layersOf(parameters, units).forEach(({ weight, bias }, l) => {
    const bound = 1 / Math.sqrt(units[l]);
    for (const values of [weight, bias]) {
      for (let i = 0; i < values.length; i++) values[i] = (2 * random.uniform() - 1) * bound;
    }
  });
  return parameters;
}
