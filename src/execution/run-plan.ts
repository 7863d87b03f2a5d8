/** Plans of steps on the threads of an executor. */

import type { Executor } from './executor.js';
import { type Plan, runPlanWith, type Step } from './plan.js';

/** One call of a step, as it is sent to a thread: a thread finds the function by its name. */
export interface PlanTask {
  readonly step: string;
  readonly input: unknown;
  /** Among the calls that run at once. */
  readonly index: number;
}

/** `nameOf`: the name by which threads find a function. Throws CANCELLED after an abort. */
export function runPlanOn<T>(
  executor: Executor,
  plan: Plan<T>,
  nameOf: (work: Step['work']) => string,
  signal?: AbortSignal,
): Promise<T> {
  return runPlanWith(plan, async ({ work, inputs }) => {
    const results = new Array<unknown>(inputs.length);
    const tasks = inputs.map((input, index): PlanTask => ({ step: nameOf(work), input, index }));
    await executor.runAll<PlanTask, unknown>(
      tasks,
      ({ step, index }) => `step '${step}', ${index + 1} of ${tasks.length}`,
      {
        onDone: ({ index }, result) => {
          results[index] = result;
        },
        // Steps work in place.
        attempts: 1,
        signal,
      },
    );
    return results;
  });
}
