import { Counter, Gauge, Registry } from 'prom-client';
import type { TrainingObserver, TrainingSteps } from '../training/observer.js';
import { addProcessMetrics } from './process.js';

/** Prometheus metrics of a training run. */
export class TrainingMetrics implements TrainingObserver {
  readonly registry = new Registry();
  readonly steps: (done: TrainingSteps) => void;

  constructor() {
    const registers = [this.registry];
    addProcessMetrics(this.registry);
    const loss = new Gauge({
      name: 'naan_training_loss',
      help: 'Mean cross-entropy of the last pairs trained on, in nats.',
      registers,
    });
    const pairs = new Counter({ name: 'naan_training_pairs_total', help: 'Pairs trained on.', registers });
    const steps = new Counter({ name: 'naan_training_steps_total', help: 'Steps of the optimiser.', registers });
    const learningRate = new Gauge({
      name: 'naan_training_learning_rate',
      help: 'Learning rate of the last step.',
      registers,
    });
    const gradientNorm = new Gauge({
      name: 'naan_training_gradient_norm',
      help: 'Norm of the gradient of all parameters in the last step, before clipping.',
      registers,
    });
    this.steps = (done) => {
      loss.set(done.loss);
      pairs.inc(done.pairs);
      steps.inc(done.steps);
      learningRate.set(done.learningRate);
      gradientNorm.set(done.gradientNorm);
    };
  }
}
