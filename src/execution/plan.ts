/**
 * Computations on scored edges as a series of steps, so that one description serves one thread and many: a plan yields calls
 * of one function that may run at once, on any threads, and goes on with their results when all are done. What a plan does
 * itself between its steps is little, for it may run on a thread that has others to answer to.
 */

/** Calls of `work`, a function that another thread finds by its name; inputs and results in shared memory. */
export interface Step {
  // biome-ignore lint/suspicious/noExplicitAny: each step has its own input; `together` ties it to its function
  readonly work: (input: any) => unknown;
  readonly inputs: readonly unknown[];
}

export type Plan<T> = Generator<Step, T, readonly unknown[]>;

/** In a plan: the results of `work` for each of the inputs. */
export function* together<Input, Result>(work: (input: Input) => Result, inputs: readonly Input[]): Plan<Result[]> {
  return (yield { work, inputs }) as Result[];
}

/** In a plan: the result of `work` on some thread. */
export function* alone<Input, Result>(work: (input: Input) => Result, input: Input): Plan<Result> {
  return (yield* together(work, [input]))[0];
}

/** Runs a plan on this thread. */
export function runPlan<T>(plan: Plan<T>): T {
  let next = plan.next();
  while (!next.done) {
    const { work, inputs } = next.value;
    next = plan.next(inputs.map((input) => work(input)));
  }
  return next.value;
}

/** Runs a plan with `run` for each step. */
export async function runPlanWith<T>(plan: Plan<T>, run: (step: Step) => Promise<readonly unknown[]>): Promise<T> {
  let next = plan.next();
  while (!next.done) next = plan.next(await run(next.value));
  return next.value;
}
