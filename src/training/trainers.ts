/** The training of every head. */
import type { ModelConfig } from '../model/model.js';
import { concatTrainer } from './concat/run.js';
import { pairwiseTrainer } from './pairwise/run.js';
import type { Trainer } from './trainer.js';

export const trainers: Readonly<Record<ModelConfig['head'], Trainer>> = {
  concat: concatTrainer,
  pairwise: pairwiseTrainer,
};
