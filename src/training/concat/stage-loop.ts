/**
 * Runs the stages of a step on any number of threads at once. Threads take chunks from a shared counter; the next stage
 * begins when every chunk of the last is done, whoever did it, so one thread alone also gets through.
 *
 * Control words, all zero before a step: by stage, the next chunk and how many are done; then one that the main thread
 * raises when a thread fails, so that the others do not wait for its chunks.
 */
import { type BlockPass, stages, type TrainingStage } from './block-pass.js';

const failureCheckMs = 100;

export const controlWords = 2 * stages.length + 1;
export const failedWord = controlWords - 1;

export async function runStages(pass: BlockPass, list: readonly TrainingStage[], control: Int32Array): Promise<void> {
  for (const stage of list) {
    const next = 2 * stages.indexOf(stage);
    const done = next + 1;
    const chunks = pass.chunks(stage);
    for (let c = Atomics.add(control, next, 1); c < chunks; c = Atomics.add(control, next, 1)) {
      await pass.run(stage, c);
      // After all stores of the chunk: who sees the count sees what the chunk wrote.
      if (Atomics.add(control, done, 1) + 1 === chunks) Atomics.notify(control, done);
    }
    for (let seen = Atomics.load(control, done); seen < chunks; seen = Atomics.load(control, done)) {
      if (Atomics.load(control, failedWord) !== 0) return;
      Atomics.wait(control, done, seen, failureCheckMs);
    }
  }
}
