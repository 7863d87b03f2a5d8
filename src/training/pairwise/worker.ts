/** One thread's half of the training of head `pairwise`. */

import { RoundNetwork } from '../../backends/pairwise/network.js';
import { NaanError } from '../../errors.js';
import type { IdentitySums } from '../../evaluation/identity-sums.js';
import { scoreOf } from '../../heads/pairwise/edge-score.js';
import { quantiseScore } from '../../heads/pairwise/score-features.js';
import { EdgeFeatures, edgesAtOnce } from '../../heads/pairwise/scorer.js';
import { type SimilaritiesJob, similaritiesOf } from '../../heads/pairwise/similarities.js';
import { type CutsJob, sumsOfCuts } from '../calibration.js';
import {
  type EpochResult,
  featuresJob,
  type PairwiseTrainingJob,
  type ScoreTask,
  type TrainingContext,
  type TrainingTask,
} from './job.js';
import { layersOf } from './mlp-step.js';
import { NetworkTrainer } from './network.js';
import { type WhitenJob, whitenRows } from './whitening.js';

export class PairwiseTrainingWorker {
  private readonly trainer = new NetworkTrainer();
  private open: { readonly job: PairwiseTrainingJob; readonly features: EdgeFeatures } | undefined;

  /** Throws CANCELLED and DIVERGED. */
  async run(task: TrainingTask, context: TrainingContext): Promise<EpochResult | IdentitySums[] | undefined> {
    if (task.kind === 'similarities') {
      similaritiesOf(context as SimilaritiesJob, task.start, task.end);
      return undefined;
    }
    if (task.kind === 'whiten') {
      await whitenRows(context as WhitenJob, task.start, task.end);
      return undefined;
    }
    if (task.kind === 'cuts') return sumsOfCuts(context as CutsJob, task);
    const { job, features } = this.opened(context as PairwiseTrainingJob);
    if (task.kind === 'epoch') return this.trainer.run(task, job);
    if (Atomics.load(job.cancel, 0) !== 0) throw new NaanError('CANCELLED', 'cancelled');
    switch (task.kind) {
      case 'summariseLists':
        features.summariseLists(task.start, task.end);
        break;
      case 'structure':
        writeStructure(features, task.start, task.end);
        break;
      case 'summariseScores':
        features.summariseScores(job.previous, task.start, task.end);
        break;
      case 'tabulate':
        tabulate(features, job, task.start, task.end);
        break;
      case 'score':
        await score(features, job, task);
        break;
    }
    return undefined;
  }

  /** A version of a job is opened once, though a copy of it comes with each task. */
  private opened(job: PairwiseTrainingJob) {
    if (this.open?.job.version !== job.version) {
      this.open = { job, features: new EdgeFeatures(featuresJob(job), job.settings.k) };
    }
    return this.open;
  }
}

function writeStructure(features: EdgeFeatures, start: number, end: number): void {
  for (let first = start; first < end; first += edgesAtOnce) {
    const count = Math.min(edgesAtOnce, end - first);
    features.writeStructure(Int32Array.from({ length: count }, (_, i) => first + i));
  }
}

/** Features of edges start .. end−1 of the sample into the table. */
function tabulate(features: EdgeFeatures, job: PairwiseTrainingJob, start: number, end: number): void {
  const { round, units, sample, table, previous } = job;
  const [inputs] = units;
  const ids = new Int32Array(edgesAtOnce);
  for (let first = start; first < end; first += edgesAtOnce) {
    const count = Math.min(edgesAtOnce, end - first);
    ids.set(sample.edges.subarray(first, first + count));
    features.read(round, ids, count, previous, table.subarray(first * inputs, (first + count) * inputs));
  }
}

/** Scores of edges start .. end−1, each by the network that its fold was held out from. */
async function score(features: EdgeFeatures, job: PairwiseTrainingJob, task: ScoreTask): Promise<void> {
  const { round, units, settings, foldOfKey, sample, table, previous, scores } = job;
  const { start, end, networks, guard } = task;
  const [inputs] = units;
  const quantised = round < settings.rounds - 1;
  const isTabulated = sample.edges.length === scores.length;
  const mlps: RoundNetwork[] = [];
  for (const { mean, scale, parameters } of networks) {
    mlps.push(await RoundNetwork.create({ mean, scale, layers: layersOf(parameters, units) }));
  }
  /** Edges that wait for the network of each fold, and their features. */
  const waiting = networks.map(() => ({
    edges: new Uint32Array(edgesAtOnce),
    features: new Float32Array(edgesAtOnce * inputs),
    count: 0,
  }));
  const logits = new Float32Array(edgesAtOnce);
  const flush = async (fold: number) => {
    const { edges, features, count } = waiting[fold];
    if (count === 0) return;
    await mlps[fold].run(count, features, logits);
    for (let i = 0; i < count; i++) {
      // The first feature is the cosine.
      const found = scoreOf(logits[i], features[i * inputs], guard);
      scores[edges[i]] = quantised ? quantiseScore(Math.fround(found)) : found;
    }
    waiting[fold].count = 0;
  };
  const ids = new Int32Array(edgesAtOnce);
  const local = new Float32Array(edgesAtOnce * inputs);
  for (let first = start; first < end; first += edgesAtOnce) {
    const count = Math.min(edgesAtOnce, end - first);
    for (let i = 0; i < count; i++) ids[i] = first + i;
    const tile = isTabulated ? table.subarray(first * inputs, (first + count) * inputs) : local;
    if (!isTabulated) features.read(round, ids, count, previous, local);
    for (const [fold, { edges, features: to }] of waiting.entries()) {
      if (waiting[fold].count + count > edgesAtOnce) await flush(fold);
      let at = waiting[fold].count;
      for (let i = 0; i < count; i++) {
        if (foldOfKey[first + i] !== fold) continue;
        for (let f = 0; f < inputs; f++) to[at * inputs + f] = tile[i * inputs + f];
        edges[at++] = first + i;
      }
      waiting[fold].count = at;
    }
  }
  for (const [fold, mlp] of mlps.entries()) {
    await flush(fold);
    await mlp.release();
  }
}
