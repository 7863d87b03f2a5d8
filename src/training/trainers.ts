/** The training of every head that can be trained. */
import type { TrainedHead } from '../defaults.js';
import { concatTrainer } from './concat/run.js';
import { pairwiseTrainer } from './pairwise/run.js';
import type { Trainer } from './trainer.js';

export const trainers: Readonly<Record<TrainedHead, Trainer>> = {
  concat: concatTrainer,
  pairwise: pairwiseTrainer,
};
