/** The contract between `train` and the training of a head. */
import type { Truth } from '../cluster/truth.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import type { MatrixLocation } from '../io/matrix.js';
import type { MemoryParts } from '../memory/plan.js';
import type { TrainOptions } from './options.js';
import type { Trained, TrainingHooks } from './trained.js';

interface LabelledSet extends Truth {
  readonly location: MatrixLocation;
  /** Features of a row. */
  readonly dim: number;
  readonly graph: KnnGraph;
}

/** A set before its features are read. */
export type PlannedSet = Omit<LabelledSet, 'location'>;

interface TrainerOptions extends TrainingHooks {
  /** Share of the identities that is held out. */
  readonly validation: number;
  readonly provenance: Readonly<Record<string, string>>;
  readonly threads?: number | undefined;
}

/** The options of a run that decide on its memory. */
export interface PlanOptions {
  readonly validation: number;
  readonly threads: number;
}

export interface Trainer<Settings extends object = object> {
  readonly defaults: { readonly validation: number; readonly sampleHops: number };
  /** Options that mean nothing to this head. */
  readonly without: readonly (keyof TrainOptions)[];
  /** Whether it can learn where of some identities it is not known whether they are different. */
  readonly takesDecisions: boolean;
  /** Whether it can train without holding identities out. */
  readonly takesAll: boolean;
  /** Fewest identities that it can learn from. */
  fewestIdentities(validation: number): number;
  /** Neighbours of a list that it looks at. */
  neighbours(options: TrainOptions): number;
  /** `listed`: neighbours that the lists hold. Throws BAD_USAGE for options that do not fit together, or more neighbours. */
  settings(options: TrainOptions, listed: number, seed: number): Settings;
  /** Bytes in memory at the peak, by what they are for, beside features that had to be inflated; whole numbers. */
  memory(set: PlannedSet, settings: Settings, options: PlanOptions): Promise<MemoryParts>;
  /** Options to lower where memory does not do, for messages. */
  readonly lessMemory: string;
  run(set: LabelledSet, settings: Settings, options: TrainerOptions): Promise<Trained>;
}
