/** What training does unless told otherwise: the published run (NAAN 2020), and ours where it says nothing. */
export const trainingDefaults = {
  head: 'concat',
  kHops: [100, 10],
  sampleHops: 120,
  heads: 1,
  alpha: 0.2,
  lr: 0.002,
  lrDecay: 0.1,
  weightDecay: 5e-4,
  clip: 2,
  dropout: 0,
  batch: 512,
  epochs: 4,
  passes: 20,
  seed: 1,
  validation: 0.1,
  checkpointEvery: 200,
} as const;

/** Hops that a trained model is labelled with, where training did not use fewer: as published. */
export const labellingHops = { k1: 20, k2: 10, sampleHops: 20 } as const;
