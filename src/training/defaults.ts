/** What training does unless told otherwise. */

/** Of the published run (NAAN 2020), and ours where it says nothing. */
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

export const trainingDefaults = { head: 'pairwise', seed: 1, checkpointEvery: 200 } as const;

/** Hops that a trained model is labelled with, where training did not use fewer: as published. */
export const labellingHops = { k1: 20, k2: 10, sampleHops: 20 } as const;
