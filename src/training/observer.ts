/** The events of a training run, for whoever watches it. Training knows this type and nothing else of metrics. */
export interface TrainingObserver {
  steps(steps: TrainingSteps): void;
}

/** One step of the optimiser or a few, averaged. */
export interface TrainingSteps {
  /** The round (head `pairwise`) or epoch (head `concat`), from 1. */
  readonly round: number;
  /** The fold that is held out; undefined for a network that learns from all that there is to learn from. */
  readonly fold?: string | undefined;
  readonly steps: number;
  readonly pairs: number;
  /** Mean cross-entropy of the pairs, in nats. */
  readonly loss: number;
  readonly learningRate: number;
  /** The norm of the gradient before it is clipped. */
  readonly gradientNorm: number;
}
