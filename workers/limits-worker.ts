/** Thread entry of measuring the machine: runs the probes it is given. */
import { serve } from '../src/execution/worker-start.js';
import { type LimitTask, probe } from '../src/machine/limit-probes.js';

export default await serve(
  () => undefined,
  (_, task: LimitTask): unknown => probe(task),
);
