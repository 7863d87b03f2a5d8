/**
 * Devices that go wrong, by what the query of this module's address asks for; they compute by ONNX Runtime on the CPU.
 *   most=N   out of memory for more than N nodes or edges
 *   lost=N   every call from the Nth on fails
 *   nan=N    every call from the Nth on gives NaN
 *   off=X    every float of a result is greater by X
 *   dies=N   the thread ends in the Nth call
 *   slow=N   each call takes N ms in which its thread sees nothing
 *   absent   does not start
 */
import type { Backend, BackendModel, BackendOf } from '../../src/backends/backend.js';
import { layoutOf } from '../../src/backends/stages.js';
import { startBackend } from '../../src/backends/start.js';
import type { startDevice as start } from '../../src/backends/start-device.js';
import { NaanError } from '../../src/errors.js';

const faults = new URL(import.meta.url).searchParams;
const at = (name: string) => Number(faults.get(name) ?? Infinity);

export const startDevice: typeof start = async <Model extends BackendModel>(
  ...[, model, capacity]: Parameters<typeof start<Model>>
) => {
  if (faults.has('absent')) throw new NaanError('BACKEND_UNAVAILABLE', 'the driver is too old');
  const backend: Backend = await startBackend<BackendModel>('onnx', model, capacity, { provider: 'cpu' });
  const { stages } = layoutOf(model, capacity);
  let calls = 0;
  const faulty: Backend = {
    name: backend.name,
    tile: backend.tile,
    async run(stage, count) {
      calls++;
      if (calls >= at('lost')) throw new Error('device lost');
      if (calls === at('dies')) process.exit(3);
      if (count > at('most')) throw new Error('out of memory');
      if (faults.has('slow')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, at('slow'));
      await backend.run(stage, count);
      if (faults.has('off')) {
        for (const name of Object.keys(stages[stage].out)) {
          const values = backend.tile[name];
          if (values instanceof Float32Array) for (let i = 0; i < values.length; i++) values[i] += at('off');
        }
      }
      if (calls >= at('nan')) for (const name of Object.keys(stages[stage].out)) backend.tile[name][0] = NaN;
    },
    release: () => backend.release(),
  };
  return faulty as BackendOf<Model>;
};
