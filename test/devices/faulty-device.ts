/**
 * Devices that go wrong, by what the query of this module's address asks for; they compute by ONNX Runtime on the CPU.
 *   most=N   out of memory for more than N nodes or edges
 *   lost=N   every call from the Nth on fails
 *   dies=N   the thread ends in the Nth call
 *   slow=N   each call takes N ms in which its thread sees nothing
 *   absent   does not start
 */
import type { Backend } from '../../src/backends/backend.js';
import { tileStages } from '../../src/backends/stages.js';
import { startBackend } from '../../src/backends/start.js';
import type { startDevice as start } from '../../src/backends/start-device.js';
import { NaanError } from '../../src/errors.js';

const faults = new URL(import.meta.url).searchParams;
const at = (name: string) => Number(faults.get(name) ?? Infinity);

export const startDevice: typeof start = async (_choice, model, capacity) => {
  if (faults.has('absent')) throw new NaanError('BACKEND_UNAVAILABLE', 'the driver is too old');
  const backend = await startBackend('onnx', model, capacity, { provider: 'cpu' });
  let calls = 0;
  const faulty = (stage: (typeof tileStages)[number]) => async (count: number) => {
    calls++;
    if (calls >= at('lost')) throw new Error('device lost');
    if (calls === at('dies')) process.exit(3);
    if (count > at('most')) throw new Error('out of memory');
    if (faults.has('slow')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, at('slow'));
    await backend[stage](count);
  };
  const stages = Object.fromEntries(tileStages.map((stage) => [stage, faulty(stage)]));
  return {
    name: backend.name,
    tile: backend.tile,
    release: () => backend.release(),
    ...(stages as Pick<Backend, (typeof tileStages)[number]>),
  };
};
