import { Counter, Gauge, type Registry } from 'prom-client';
import type { TrainingSteps } from '../training/observer.js';
import type { TrainingReport } from '../training/trained.js';

export interface TrainingRecorder {
  steps(done: TrainingSteps): void;
  report(report: TrainingReport): void;
}

/** Prometheus metrics of a training run: by round (an epoch of `concat`) and fold, and what identities held out say. */
export function addTrainingMetrics(registry: Registry): TrainingRecorder {
  const registers = [registry];
  const labelNames = ['round', 'fold'];
  const loss = new Gauge({
    name: 'naan_training_loss',
    help: 'Mean cross-entropy of the last pairs trained on, in nats. The network of fold "model" learns from all folds.',
    labelNames,
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
  const round = new Gauge({ name: 'naan_training_round', help: 'The round or epoch that runs, from 1.', registers });
  const heldOut = new Gauge({
    name: 'naan_training_held_out',
    help: 'What a round or epoch reaches on identities that were not trained on: loss, AUC, accuracy, BCubed.',
    labelNames: ['round', 'measure'],
    registers,
  });
  return {
    steps(done) {
      loss.set({ round: String(done.round), fold: done.fold ?? 'model' }, done.loss);
      pairs.inc(done.pairs);
      steps.inc(done.steps);
      learningRate.set(done.learningRate);
      gradientNorm.set(done.gradientNorm);
      round.set(done.round);
    },
    report({ index, heldOut: found }) {
      if (!found) return;
      const { auc, accuracy, bcubed } = found;
      const measures = {
        loss: found.loss,
        auc,
        accuracy,
        bcubed_precision: bcubed.precision,
        bcubed_recall: bcubed.recall,
        bcubed_f: bcubed.f,
      };
      for (const [measure, value] of Object.entries(measures)) heldOut.set({ round: String(index), measure }, value);
    },
  };
}
