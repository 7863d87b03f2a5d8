/** What a training run tells whoever watches it. Training knows this type and nothing else of metrics. */
export interface TrainingObserver {
  steps(steps: TrainingSteps): void;
}

/** One step of the optimiser or a few, averaged. */
export interface TrainingSteps {
  readonly steps: number;
  readonly pairs: number;
  /** Mean cross-entropy of the pairs, in nats. */
  readonly loss: number;
  readonly learningRate: number;
  /** Before clipping. */
  readonly gradientNorm: number;
}
