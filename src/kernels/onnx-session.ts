/** Runs sessions of ONNX Runtime. */
import { MessageChannel } from 'node:worker_threads';
import type { InferenceSession, SessionOptions, Tensor } from './onnx-runtime.js';

/** Options of a session that runs on the calling thread. */
export const oneThread: SessionOptions = {
  executionProviders: ['cpu'],
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  enableMemPattern: false,
};

/** A port that is closed: what is sent to it is freed. */
const nowhere = new MessageChannel().port1;
nowhere.close();

/**
 * Runs a session whose results go to the tensors given for them. ONNX Runtime for Node then copies each of them into a new
 * ArrayBuffer as well. Left to the garbage collector, copies would pile up in memory that the system hands out page by page
 * and that no cache holds; freed at once, each takes the place of the one before.
 */
export async function runInto(
  session: InferenceSession,
  inputs: Readonly<Record<string, Tensor>>,
  outputs: Readonly<Record<string, Tensor>>,
): Promise<void> {
  const results = await session.run(inputs, outputs);
  for (const [name, given] of Object.entries(outputs)) {
    const { buffer } = results[name].data as Float32Array;
    if (buffer !== (given.data as Float32Array).buffer) nowhere.postMessage(null, [buffer as ArrayBuffer]);
  }
}
