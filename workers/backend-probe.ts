/**
 * Entry of the process that probes one back-end, and of its threads. It answers once and is then ended by its parent:
 * some drivers cannot be unloaded in good order.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { forbidReducedPrecision } from '../src/backends/onnx-providers.js';
import { type Probe, type ProbeAnswer, type ProbeRequest, probeTile } from '../src/machine/backend-probe.js';

interface ProbeShare {
  readonly request: ProbeRequest;
  /** [1]: threads that are ready. */
  readonly gate: Int32Array;
}

if (isMainThread) process.once('message', (request) => void answer(request as ProbeRequest));
else await probeShare(workerData);

async function answer(request: ProbeRequest): Promise<void> {
  forbidReducedPrecision();
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const share = (): Promise<Probe> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { request, gate } satisfies ProbeShare });
      worker.once('message', (answer: ProbeAnswer) => {
        if ('probe' in answer) resolve(answer.probe);
        else reject(new Error(answer.reason));
      });
      worker.once('error', reject);
    });
  let told: ProbeAnswer;
  try {
    const probes = await Promise.all(Array.from({ length: request.threads }, share));
    const sum = (key: 'nodesPerSecond' | 'edgesPerSecond' | 'pairsPerSecond' | 'gflops') =>
      probes.reduce((total, probe) => total + probe[key], 0);
    const rates = {
      nodesPerSecond: sum('nodesPerSecond'),
      edgesPerSecond: sum('edgesPerSecond'),
      pairsPerSecond: sum('pairsPerSecond'),
      gflops: sum('gflops'),
    };
    told = { probe: { ...probes[0], ...rates } };
  } catch (error) {
    told = { reason: error instanceof Error ? error.message : String(error) };
  }
  process.send?.(told);
}

async function probeShare({ request, gate }: ProbeShare): Promise<void> {
  let told: ProbeAnswer;
  try {
    told = { probe: await probeTile(request, () => meet(gate, request.threads)) };
  } catch (error) {
    told = { reason: error instanceof Error ? error.message : String(error) };
  }
  parentPort?.postMessage(told);
}

/** Waits for the other threads, so that all of them load the machine at once. */
function meet(gate: Int32Array, threads: number): void {
  if (Atomics.add(gate, 0, 1) + 1 === threads) Atomics.notify(gate, 0);
  for (let seen = Atomics.load(gate, 0); seen < threads; seen = Atomics.load(gate, 0)) Atomics.wait(gate, 0, seen);
}
