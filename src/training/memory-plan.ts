/** The memory that a training will take, known before it starts: the head that is trained says what it keeps. */
import { NaanError } from '../errors.js';
import { gib, usableBytes } from '../memory/available.js';
import { describeParts, type MemoryParts, sumOf } from '../memory/plan.js';

export interface TrainingPlan {
  /** Bytes in memory at the peak, by what they are for; whole numbers, as all of the plan's bytes are. */
  readonly parts: MemoryParts;
  /** Sum of the parts. */
  readonly memoryBytes: number;
  /** Bytes that the process may take. */
  readonly limitBytes: number;
}

interface TrainingPlanRequest {
  /** Bytes that the process may take; default: most of what is free. */
  readonly memory?: number | undefined;
  /** The set and the head, in messages. */
  readonly what: string;
  /** Smaller settings with which the training takes less. */
  readonly advice: string;
}

/** Throws OUT_OF_MEMORY, with the size that would do, when the training cannot fit into memory. */
export function planTraining(parts: MemoryParts, { memory, what, advice }: TrainingPlanRequest): TrainingPlan {
  const limitBytes = Math.floor(memory ?? usableBytes());
  const memoryBytes = sumOf(parts);
  if (memoryBytes > limitBytes) {
    throw new NaanError(
      'OUT_OF_MEMORY',
      `${what} takes ${gib(memoryBytes)} GiB of memory to train on, but ${gib(limitBytes)} GiB may be taken: ` +
        `give that much with --memory, or ${advice}`,
    );
  }
  return { parts, memoryBytes, limitBytes };
}

/** One line, such as `about 2.1 of 4.0 GiB of memory: rows 1.0, graph 0.2, …`. */
export function describeTrainingPlan({ parts, memoryBytes, limitBytes }: TrainingPlan): string {
  return `about ${gib(memoryBytes)} of ${gib(limitBytes)} GiB of memory: ${describeParts(parts)}`;
}
