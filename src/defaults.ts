/** Defaults of options. */

/** Hops of the published labelling, which take effect where the model's are not fewer. */
export const labellingHops = { k1: 20, k2: 10, sampleHops: 20 } as const;

export const labelDefaults = {
  /** Nodes of a tile. */
  batch: 512,
  /** The partition where neither the user nor the model names one. */
  partition: 'propagation',
  threshold: 0.8,
} as const;

/** The ladder of the partition `propagation`. */
export const partitionDefaults = {
  step: 0.6,
  maxSize: 600,
  maxIterations: 1000,
  start: 'threshold',
  leftovers: 'components',
} as const;

/** The sets that `generate` makes. */
export const generateDefaults = { ids: 1000, dim: 512, k: 80, seed: 1 } as const;

export const knnDefaults = { k: 80, minRecall: 0.99 } as const;

/** The settings of the published run (NAAN 2020), and ours where it says nothing. */
export const concatTrainingDefaults = {
  kHops: [100, 10],
  sampleHops: 120,
  heads: 1,
  alpha: 0.2,
  lr: 0.002,
  lrDecay: 0.1,
  weightDecay: 5e-4,
  clip: 2,
  dropout: 0,
  /** Nodes. */
  batch: 512,
  epochs: 4,
  passes: 20,
  validation: 0.1,
} as const;

export const pairwiseTrainingDefaults = {
  sampleHops: 20,
  lr: 0.003,
  weightDecay: 1e-4,
  /** Pairs. */
  batch: 1024,
  epochs: 10,
  validation: 0.2,
} as const;

/** Heads that `train` can train, the default first. */
export const trainedHeads = ['pairwise', 'concat'] as const;
export type TrainedHead = (typeof trainedHeads)[number];

export const trainingDefaults = { head: trainedHeads[0], seed: 1, checkpointEvery: 200 } as const;
