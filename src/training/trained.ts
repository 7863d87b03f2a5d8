/** The events and results of the training of any head. */
import type { Partition } from '../cluster/partition.js';
import type { ScoredEdges } from '../cluster/scored-edges.js';
import type { PrecisionRecall } from '../evaluation/precision-recall.js';
import type { NaanModel } from '../model/model.js';
import type { ProgressListener } from '../progress.js';
import type { Judgement } from './held-out.js';
import type { TrainingObserver } from './observer.js';
import type { Course } from './plot.js';
import type { CheckOwned } from './training-lock.js';

/** What training reports after each epoch (head `concat`) or round (head `pairwise`). */
export interface TrainingReport {
  readonly unit: 'epoch' | 'round';
  /** The number of the epoch or round, from 1. */
  readonly index: number;
  readonly count: number;
  readonly learningRate: number;
  /** Means over the pairs of the epoch; of a round, its last epoch. */
  readonly loss: number;
  readonly accuracy: number;
  /** Measures on identities that were not trained on. */
  readonly heldOut?: Pick<Judgement, 'loss' | 'auc' | 'accuracy'> & {
    readonly partition: Partition;
    readonly threshold: number;
    readonly bcubed: PrecisionRecall;
    readonly pairwise?: PrecisionRecall;
  };
}

/** The callbacks and signals that every head's training takes besides its own settings. */
export interface TrainingHooks {
  readonly checkpoint: CheckpointPlan;
  readonly signal?: AbortSignal | undefined;
  readonly observer?: TrainingObserver | undefined;
  readonly onProgress?: ProgressListener | undefined;
  readonly onReport?: ((report: TrainingReport) => void) | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
}

interface CheckpointPlan {
  /** Undefined when none are to be written. */
  readonly path: string | undefined;
  /** Options and inputs that must be the same for a run to go on. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** Steps from one to the next, where they are given. */
  readonly every: number | undefined;
  readonly resume: boolean;
  /** Called before a checkpoint is written. */
  readonly checkOwned?: CheckOwned | undefined;
}

export interface Trained {
  /** Calibrated where there were identities to calibrate by. */
  readonly model: NaanModel;
  readonly judgement?: Judgement | undefined;
  /** Candidate edges of the set, keyed by the smaller end, with scores by networks that did not see them, where there are such. */
  readonly scored?: ScoredEdges | undefined;
  readonly steps: number;
  readonly pairs: number;
  /** The history in train.json. */
  readonly history: Readonly<Record<string, unknown>>;
  readonly course: Course;
}

/** The model with what calibration chose, and how good that was. */
export function calibrated(model: NaanModel, { partition, partitions, absentPairs }: Judgement): NaanModel {
  const thresholds = Object.fromEntries(Object.entries(partitions).map(([name, { threshold }]) => [name, threshold]));
  const { threshold, bcubed, pairwise, deviation } = partitions[partition];
  const calibration = {
    bcubed: { f: bcubed.f, deviation: deviation.bcubed },
    pairwise: { f: pairwise.f, deviation: deviation.pairwise },
  };
  const config = { ...model.config, partition, threshold, thresholds, absentPairs, calibration };
  return { ...model, config } as NaanModel;
}

/** A judgement in short: the partition that is best, and what it gives. */
export function bestOf({ loss, auc, accuracy, partition, partitions }: Judgement) {
  return { loss, auc, accuracy, partition, ...partitions[partition] };
}
