/** Plans of steps on the threads of a pool. */
import { type Plan, runPlanWith } from '../cluster/plan.js';
import type { StepTask } from './graph-tasks.js';
import type { Pool } from './pool.js';

/** Throws CANCELLED after an abort. */
export function runPlanOn<T>(pool: Pool, plan: Plan<T>, signal?: AbortSignal): Promise<T> {
  return runPlanWith(plan, async ({ work, inputs }) => {
    const results = new Array<unknown>(inputs.length);
    const tasks = inputs.map((input, index): StepTask => ({ task: 'step', name: work.name, input, index }));
    await pool.runAll<StepTask, unknown>(
      tasks,
      ({ name, index }) => `step '${name}', ${index + 1} of ${tasks.length}`,
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
