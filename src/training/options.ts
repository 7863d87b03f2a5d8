/** The options of a training run, for users of the library. */

import type { TrainedHead } from '../defaults.js';
import type { GraphCheck } from '../engine/graph-check.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import type { FeatureSource } from '../io/feature-source.js';
import type { ProgressListener } from '../progress.js';
import type { TrainingPlan } from './memory-plan.js';
import type { TrainingObserver } from './observer.js';
import type { TrainingReport } from './trained.js';

export interface TrainOptions {
  readonly features: FeatureSource;
  /** Values a row of the features: needed for a raw file. */
  readonly dim?: number | undefined;
  /** Identity of each row, −1 where not known: a file of any names, or in memory. Default: `labels` of the feature file. */
  readonly labels?: string | Int32Array | undefined;
  /** decisions.jsonl: what people have decided of rows, beside labels or without any. Head `pairwise`. */
  readonly decisions?: string | undefined;
  /** Names of the rows, by which decisions name them; default: names beside the features. */
  readonly items?: string | undefined;
  /** Model that is compared with on what was decided; default: the general model. */
  readonly model?: string | undefined;
  /** kNN file, or a graph such as `knn` finds. */
  readonly knn: string | KnnGraph;
  /** `refuse`, the default: a graph that is no graph of the features, as a sample of its lists says, is BAD_INPUT. */
  readonly graphCheck?: GraphCheck | undefined;
  /** Model file to write; beside it a history, a plot and, while training lasts, a checkpoint. Without it nothing is written. */
  readonly out?: string | undefined;
  /** Replace a file under the name of one of these that naan cannot tell it wrote. */
  readonly overwrite?: boolean | undefined;
  /** `pairwise` (default) or, as published, `concat`. */
  readonly head?: TrainedHead | undefined;
  /** `concat`: neighbours of hop one and hop two in training; default: 100 and 10, or as many as the lists hold. */
  readonly kHops?: readonly [number, number] | undefined;
  /** Pairs go to this many nearest neighbours; default: 120 (`concat`) or 20, or as many as the lists hold. */
  readonly sampleHops?: number | undefined;
  /** `concat`: attention heads; default 1. */
  readonly heads?: number | undefined;
  /** `concat`: slope of LeakyReLU below zero; default 0.2. */
  readonly alpha?: number | undefined;
  /** Learning rate of the first step; default 0.002 (`concat`) or 0.003. */
  readonly lr?: number | undefined;
  /** `concat`: what the learning rate is multiplied by after each epoch; default 0.1. `pairwise` falls along a cosine. */
  readonly lrDecay?: number | undefined;
  /** L2 in Adam, default 5e-4 (`concat`), or decoupled from it, default 1e-4. */
  readonly weightDecay?: number | undefined;
  /** `concat`: largest norm of the gradient of all parameters together; default 2. */
  readonly clip?: number | undefined;
  /** `concat`: share of attention entries dropped in a step; default 0. */
  readonly dropout?: number | undefined;
  /** `concat`: nodes of a block, whose candidate pairs make a step; default 512. `pairwise`: pairs of a step; 1024. */
  readonly batch?: number | undefined;
  /** At most this many; default 4 (`concat`), or exactly, of each network; 10. */
  readonly epochs?: number | undefined;
  /** `concat`: times that every node is in a block in an epoch; default 20. */
  readonly passes?: number | undefined;
  /** Seed of all random numbers: the same gives the same model, whatever the threads. Default 1. */
  readonly seed?: number | undefined;
  /**
   * Share of the identities that is held out to judge and calibrate by. `concat`: default 0.1, 0 for none. `pairwise`:
   * default 0.2, in five folds that take turns.
   */
  readonly validation?: number | undefined;
  /** Steps between checkpoints; default 200, or for head `pairwise` one for every 1,024 candidate pairs where that is more. */
  readonly checkpointEvery?: number | undefined;
  /** Go on from the checkpoint beside `out`, if there is one. */
  readonly resume?: boolean | undefined;
  /** The file of the history; a plot goes to the same name with `.svg`; default: train.json beside `out`. */
  readonly history?: string | undefined;
  readonly threads?: number | undefined;
  /** Bytes that the process may take; default: most of what is free. */
  readonly memory?: number | undefined;
  /** Hears what the training will take, before it starts. */
  readonly onPlan?: ((plan: TrainingPlan) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stages `read`, `knn` and `train`. */
  readonly onProgress?: ProgressListener | undefined;
  readonly observer?: TrainingObserver | undefined;
  /** The command line, for train.json. */
  readonly commandLine?: readonly string[] | undefined;
  /** Options as a config file has them, for train.json: `--config train.json` trains again. */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
  /** Hears about each epoch (`concat`) or round (`pairwise`) when it is over. */
  readonly onReport?: ((report: TrainingReport) => void) | undefined;
  /** Hears what a user should know. */
  readonly onNotice?: ((message: string) => void) | undefined;
  /** The origin of each option, for the history. */
  readonly optionSources?: Readonly<Record<string, string>> | undefined;
}
