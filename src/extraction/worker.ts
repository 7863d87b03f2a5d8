/**
 * A thread of extraction: it decodes the images of a batch, all at once, while the model computes the batch before. ONNX Runtime
 * holds the thread while it runs; images are decoded by the threads that Node has for files.
 */
import { statSync } from 'node:fs';
import { NaanError } from '../errors.js';
import { openInput } from '../io/input-file.js';
import type { SessionOptions } from '../kernels/onnx-runtime.js';
import { decode, hasMorePixels, importSharp, type MakeSharp, reasonOf } from './decode.js';
import { type ImagePlaces, pathOf } from './images.js';
import { type Part, stampOf } from './part.js';
import { type Recogniser, type RecogniserPlan, startRecogniser } from './recogniser.js';
import { readImageRecord } from './record-file.js';
import { type Pixels, resize } from './resize.js';

export interface ExtractionData {
  readonly places: ImagePlaces;
  readonly plan: RecogniserPlan;
  readonly session: SessionOptions;
  readonly batch: number;
  /** [2]: images that are done, by all threads; whether to stop. */
  readonly state: Int32Array;
}

export interface ExtractionTask {
  readonly part: number;
  /** Images [start, end). */
  readonly start: number;
  readonly end: number;
}

interface Worker extends ExtractionData {
  readonly sharp: MakeSharp;
  readonly recogniser: Recogniser;
  /** The descriptor of the record file. */
  readonly fd: number | undefined;
  /** Ends when no large image is being decoded. */
  large: Promise<unknown>;
}

/** Images of more are decoded one after the other: a batch of them, side by side, would fill the memory. */
const pixelsSideBySide = 2 ** 21;

export async function startExtraction(data: ExtractionData): Promise<Worker> {
  const { places, plan, session } = data;
  const fd = places.kind === 'records' ? openInput(places.path) : undefined;
  return {
    ...data,
    fd,
    large: Promise.resolve(),
    sharp: await importSharp(),
    recogniser: await startRecogniser(plan, session),
  };
}

type Decoded =
  | { readonly pixels: Pixels; readonly label: number; readonly resized: boolean }
  | { readonly reason: string };

export async function extractPart(worker: Worker, { start, end }: ExtractionTask): Promise<Part> {
  const { plan, places, recogniser, batch, state } = worker;
  const { dim } = plan;
  const stamp = stampOf(places, start, end);
  const rows = new Float32Array((end - start) * dim);
  const failed: (readonly [number, string])[] = [];
  const labels: number[] = [];
  let count = 0;
  let resized = 0;
  const decodeFrom = (first: number) =>
    Promise.all(Array.from({ length: Math.max(0, Math.min(batch, end - first)) }, (_, i) => read(worker, first + i)));

  let waiting = decodeFrom(start);
  for (let first = start; first < end; first += batch) {
    const decoded = await waiting;
    if (Atomics.load(state, 1) !== 0) throw new NaanError('CANCELLED', 'cancelled');
    waiting = decodeFrom(first + batch);
    const good: { readonly image: number; readonly pixels: Pixels; readonly label: number }[] = [];
    for (const [i, one] of decoded.entries()) {
      if ('reason' in one) {
        failed.push([first + i, one.reason]);
        continue;
      }
      if (one.resized) resized++;
      good.push({ image: first + i, ...one });
    }
    const out = new Float32Array(good.length * dim);
    if (good.length > 0) {
      await recogniser.embed(
        good.map(({ pixels }) => pixels),
        out,
      );
    }
    for (const [i, { image, label }] of good.entries()) {
      const row = out.subarray(i * dim, (i + 1) * dim);
      if (!isDirection(row)) {
        failed.push([image, 'its embedding has no direction: zeros, NaN or infinities']);
        continue;
      }
      rows.set(row, count * dim);
      labels.push(label);
      count++;
    }
    Atomics.add(state, 0, decoded.length);
  }
  const hasLabels = places.kind === 'records';
  return { rows: rows.slice(0, count * dim), failed, labels: hasLabels ? labels : undefined, resized, stamp };
}

async function read(worker: Worker, i: number): Promise<Decoded> {
  const { sharp, places, plan, fd } = worker;
  try {
    let label = -1;
    let image: string | Uint8Array;
    if (places.kind === 'records') {
      const record = readImageRecord(fd!, places.path, places.positions[i]);
      ({ label, bytes: image } = record);
    } else {
      image = pathOf(places, i);
      const stats = statSync(image, { throwIfNoEntry: false });
      if (!stats) return { reason: 'there is no such file' };
      if (!stats.isFile()) return { reason: 'is no plain file' }; // a pipe would hold the thread
      if (stats.size === 0) return { reason: 'is empty' };
    }
    const decoded = async (maxPixels?: number): Promise<Decoded> => {
      const pixels = await decode(sharp, image, maxPixels);
      const { width, height } = plan;
      const resized = pixels.width !== width || pixels.height !== height;
      return { pixels: resized ? resize(pixels, width, height) : pixels, label, resized };
    };
    try {
      return await decoded(pixelsSideBySide);
    } catch (error) {
      if (!hasMorePixels(error)) throw error;
      const done = worker.large.then(() => decoded());
      worker.large = done.catch(() => {});
      return await done;
    }
  } catch (error) {
    return { reason: reasonOf(error) };
  }
}

function isDirection(row: Float32Array): boolean {
  let sum = 0;
  for (const value of row) sum += value * value;
  return sum > 0 && Number.isFinite(sum);
}
