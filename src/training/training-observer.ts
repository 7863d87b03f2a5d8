/** What a training run tells whoever watches it. Training knows this type and nothing else of metrics. */
export interface TrainingObserver {
  step(step: TrainingStep): void;
}

export interface TrainingStep {
  /** Mean cross-entropy of its pairs, in nats. */
  readonly loss: number;
  readonly pairs: number;
  readonly learningRate: number;
  /** Before clipping. */
  readonly gradientNorm: number;
}
