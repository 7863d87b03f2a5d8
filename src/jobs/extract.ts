/** Makes embeddings of images with a recogniser that the user brings. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { OnnxProvider } from '../backends/names.js';
import { missingFor, unavailable } from '../backends/onnx-providers.js';
import { availableCores } from '../cgroup.js';
import { NaanError } from '../errors.js';
import { Pool } from '../execution/pool.js';
import { loadSharp } from '../extraction/decode.js';
import { findImages, type Images } from '../extraction/images.js';
import { imagesOfPart, type Part, readPart, stampOf, writePart } from '../extraction/part.js';
import { type ChannelOrder, defaultBatch, type PresetName, presets } from '../extraction/presets.js';
import { planRecogniser, type RecogniserPlan } from '../extraction/recogniser.js';
import type { ExtractionData, ExtractionTask } from '../extraction/worker.js';
import { digestFile, fileState } from '../io/digest.js';
import { FolderLock } from '../io/folder-lock.js';
import { isObject, parseJsonObject } from '../io/json.js';
import { csvField } from '../io/label-table.js';
import { writeNpy } from '../io/npy-writer.js';
import { type OutputFile, writeFolder, writeJson, writeOutput, writing } from '../io/output-file.js';
import { readRun, recordName, recordOutputs } from '../io/output-record.js';
import { checkNewFolder } from '../io/outputs.js';
import { oneThread } from '../kernels/onnx-session.js';
import { usableBytes } from '../memory/available.js';
import type { ProgressListener } from '../progress.js';
import { version } from '../version.js';

export interface ExtractOptions {
  /** A folder with images anywhere below it, a list of image files, or a record file of MXNet (`.rec`) with its `.idx`. */
  readonly images: string;
  /** ONNX model of a recogniser: one input of images, an embedding an image. */
  readonly model: string;
  /** Folder to make: features.npy, items.csv, failed.csv and run.json. */
  readonly out: string;
  /** Folder that relative names of a list lie in; default: the working directory. */
  readonly root?: string | undefined;
  /** The layout and scale of pixels that the model expects; default `arcface`. */
  readonly preset?: PresetName | undefined;
  /** The order of channels, their mean and deviation, in place of the preset's. */
  readonly channels?: ChannelOrder | undefined;
  readonly mean?: number | undefined;
  readonly std?: number | undefined;
  /** Height and width, for a model that takes any. */
  readonly size?: readonly [number, number] | undefined;
  /** Whether to take the mean of the embeddings of an image and its mirror image. */
  readonly flip?: boolean | undefined;
  /** Output of the model that is the embedding, where it has several. */
  readonly output?: string | undefined;
  readonly batch?: number | undefined;
  readonly threads?: number | undefined;
  /** The execution provider that runs the model; default `cpu`. */
  readonly provider?: OnnxProvider | undefined;
  /** Whether to give up what a run that was cut off has left. */
  readonly restart?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stage `extract`, unit `images`. */
  readonly onProgress?: ProgressListener | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
}

export interface ExtractSummary {
  readonly images: number;
  /** Images that have an embedding. */
  readonly rows: number;
  readonly dim: number;
  /** Images that could not be read. */
  readonly failed: number;
  /** Images that were not of the size that the model takes. */
  readonly resized: number;
  readonly height: number;
  readonly width: number;
  /** Images that a run before had done. */
  readonly kept: number;
}

export const extractedFiles = { features: 'features.npy', items: 'items.csv', failed: 'failed.csv' } as const;

const pollMs = 250;

/**
 * Writes embeddings of images to the folder `out`, a row for each that could be read, in the order of their names; names in
 * items.csv, what could not be read in failed.csv. What is done is kept in `out`.parts, so that the same call goes on after a
 * crash. Throws BAD_INPUT, BAD_MODEL, BAD_USAGE, NOT_WRITABLE, CANCELLED, and BACKEND_UNAVAILABLE without the package sharp.
 */
export async function extract(options: ExtractOptions): Promise<ExtractSummary> {
  const { out, model, batch = defaultBatch, provider = 'cpu', signal, onNotice = () => {} } = options;
  const preset = presets[options.preset ?? 'arcface'];
  await checkNewFolder('out', out);
  await loadSharp();
  if (provider !== 'cpu') {
    const missing = missingFor(provider);
    if (missing !== undefined) throw unavailable(provider, missing);
  }
  const images = await findImages(options.images, options.root);
  if (images.others > 0)
    onNotice(`${options.images}: ${images.others} files that do not end as images do are left alone`);
  const plan = await planRecogniser(model, {
    channels: options.channels ?? preset.channels,
    mean: options.mean ?? preset.mean,
    std: options.std ?? preset.std,
    size: options.size ?? preset.size,
    flip: options.flip ?? false,
    output: options.output,
  });
  const { model: _, ...settings } = plan;
  const modelDigest = await digestFile(model, { whole: true });
  const identity = {
    images: await identityOf(options.images, images),
    model: modelDigest.sampledSha256,
    settings,
    batch,
    provider,
  };
  const folder = `${out.replace(/[/\\]+$/, '')}.parts`;
  const lock = await takeParts(folder, options);
  try {
    const kept = await readKept(folder, identity, images, plan, options);
    const done = kept.reduce((sum, part) => sum + (part ? imagesIn(images, part.part) : 0), 0);
    if (done > 0) onNotice(`${folder}: ${done} of ${images.count} images are done: goes on with the others`);
    const counts = await computeParts(folder, kept, done, images, plan, options);
    const sum = (of: (count: PartCount) => number) => counts.reduce((total, count) => total + of(count), 0);
    const rows = sum((count) => count.rows);
    const resized = sum((count) => count.resized);
    if (rows === 0) {
      const first = await readPart(partPath(folder, 0), plan.dim);
      const reason = first?.failed[0] ? `: ${images.item(first.failed[0][0])}: ${first.failed[0][1]}` : '';
      throw new NaanError('BAD_INPUT', `${options.images}: none of ${images.count} images can be read${reason}`);
    }
    const { height, width, dim } = plan;
    const failed = images.count - rows;
    const summary = { images: images.count, rows, dim, failed, resized, height, width, kept: done };
    await writeFolder(out, async (staging) => {
      await writeNpy(join(staging, extractedFiles.features), 'f4', [rows, dim], async (append) => {
        for (let part = 0; part < counts.length; part++) await append((await wholePart(folder, part, dim)).rows);
      });
      await writeNames(staging, folder, counts.length, images, dim);
      const names = Object.values(extractedFiles);
      await writeJson(join(staging, recordName), {
        naan: version,
        command: 'extract',
        options: {
          ...identity.settings,
          preset: options.preset ?? 'arcface',
          batch,
          provider,
          images: options.images,
          model,
        },
        inputs: [modelDigest],
        ...summary,
        ...(await recordOutputs(staging, names, { outputs: [], replaced: [] })),
      });
    });
    if (failed > 0)
      onNotice(`${failed} of ${images.count} images could not be read: ${join(out, extractedFiles.failed)} says why`);
    if (resized > 0) {
      onNotice(
        `${resized} of ${images.count} images are not ${height} × ${width} and were resized: a recogniser expects faces that are aligned to its input, see docs/extract.md`,
      );
    }
    await lock.check();
    removeParts(folder);
    return summary;
  } finally {
    await lock.release();
    removeEmpty(folder);
    if (signal?.aborted && existsSync(folder)) onNotice(`${folder}: keeps what is done: the same command goes on`);
  }
}

const ownName = /^(run\.json|part-\d+)$/;

/** Files that others have put there stay. */
function removeParts(folder: string): void {
  for (const name of readdirSync(folder)) if (ownName.test(name)) rmSync(join(folder, name), { force: true });
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It keeps what is done, or belongs to the next run already.
  }
}

interface PartCount {
  readonly part: number;
  readonly rows: number;
  readonly resized: number;
}

async function takeParts(folder: string, { signal, onNotice }: ExtractOptions): Promise<FolderLock> {
  await writing(folder, () => mkdirSync(folder, { recursive: true }));
  return FolderLock.take(folder, { signal, onNotice, option: '--out' });
}

/** Values that must be the same for a run to be resumed. */
async function identityOf(source: string, images: Images) {
  const hash = createHash('sha256');
  for (let i = 0; i < images.count; i++) hash.update(`${images.item(i)}\0`);
  const state = images.places.kind === 'records' ? await fileState(source) : undefined;
  return { count: images.count, names: hash.digest('hex'), ...(state !== undefined && { state }) };
}

/** Counts of parts that a run before has left; undefined for those that are missing, damaged, or of files that changed. */
async function readKept(
  folder: string,
  identity: object,
  images: Images,
  { dim }: RecogniserPlan,
  { out, restart, signal }: ExtractOptions,
): Promise<(PartCount | undefined)[]> {
  const wanted = parseJsonObject(JSON.stringify(identity))!;
  const found = readRun(folder);
  const names = readdirSync(folder).filter((name) => name !== 'lock' && !name.endsWith('.tmp'));
  const isOurs = found !== undefined && isObject(found.images) && isObject(found.settings);
  if (restart && isOurs) {
    removeParts(folder);
  } else if (found) {
    const differing = Object.keys(wanted).filter((key) => JSON.stringify(found[key]) !== JSON.stringify(wanted[key]));
    if (differing.length > 0) {
      const inner = differing.flatMap((key) => {
        const [one, other] = [wanted[key], found[key]];
        if (!isObject(one) || !isObject(other)) return [key];
        return Object.keys(one).filter((name) => JSON.stringify(one[name]) !== JSON.stringify(other[name]));
      });
      throw new NaanError(
        'BAD_USAGE',
        `${folder}: holds a run that was cut off and is another one by its ${inner.join(', ')}: give --restart to start anew, or another --out than ${out}`,
      );
    }
  } else if (names.length > 0) {
    throw new NaanError(
      'BAD_USAGE',
      `${folder}: is needed for parts of the run, and has other files in it: give another --out`,
    );
  }
  await writeJson(join(folder, recordName), wanted);
  const parts = Math.ceil(images.count / imagesOfPart);
  const kept: (PartCount | undefined)[] = new Array(parts).fill(undefined);
  if (!found || restart) return kept;
  for (let part = 0; part < parts; part++) {
    const content = await readPart(partPath(folder, part), dim);
    const [start, end] = [part * imagesOfPart, part * imagesOfPart + imagesIn(images, part)];
    if (content && content.stamp === stampOf(images.places, start, end)) kept[part] = countOf(part, content, dim);
    if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
  }
  return kept;
}

/** Has threads do the parts that are missing. */
async function computeParts(
  folder: string,
  kept: readonly (PartCount | undefined)[],
  done: number,
  images: Images,
  plan: RecogniserPlan,
  { batch = defaultBatch, provider = 'cpu', threads = availableCores(), signal, onProgress }: ExtractOptions,
): Promise<PartCount[]> {
  const tasks = kept.flatMap((count, part): ExtractionTask[] => {
    const start = part * imagesOfPart;
    return count ? [] : [{ part, start, end: start + imagesIn(images, part) }];
  });
  const counts = [...kept];
  if (tasks.length === 0) return counts as PartCount[];
  const { workers, threadsEach } = sessionsFor(
    plan.model,
    provider,
    Math.min(threads, Math.max(1, tasks.length)),
    threads,
  );
  const state = new Int32Array(new SharedArrayBuffer(8));
  const workerData: ExtractionData = {
    places: images.places,
    plan,
    session: {
      ...oneThread,
      executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
      intraOpNumThreads: threadsEach,
    },
    batch,
    state,
  };
  const stop = () => void Atomics.store(state, 1, 1);
  const tell = () => {
    onProgress?.({
      stage: 'extract',
      done: done + Atomics.load(state, 0),
      from: done,
      total: images.count,
      unit: 'images',
    });
  };
  const pool = new Pool({
    worker: new URL('../../workers/extraction-worker.js', import.meta.url),
    threads: workers,
    workerData,
  });
  const timer = setInterval(tell, pollMs);
  signal?.addEventListener('abort', stop);
  // Parts are written one after the other, while others are computed.
  let written: Promise<void> = Promise.resolve();
  let refused: unknown;
  try {
    tell();
    await pool.runAll<ExtractionTask, Part>(tasks, ({ start, end }) => `images ${start} to ${end - 1}`, {
      signal,
      onFailure: stop,
      onDone: ({ part }, result) => {
        counts[part] = countOf(part, result, plan.dim);
        written = written
          .then(() => writePart(partPath(folder, part), result))
          .catch((error) => {
            refused ??= error;
            stop();
          });
      },
    });
  } catch (error) {
    await written;
    throw refused ?? error;
  } finally {
    clearInterval(timer);
    signal?.removeEventListener('abort', stop);
    await pool.close();
  }
  await written;
  if (refused !== undefined) throw refused;
  return counts as PartCount[];
}

/** A session a thread is fastest on a CPU, and each holds the whole model: where memory is short, fewer have several threads each. */
function sessionsFor(model: string, provider: OnnxProvider, most: number, threads: number) {
  if (provider !== 'cpu') return { workers: 1, threadsEach: threads };
  const sessionBytes = 3 * statSync(model).size + 2 ** 27;
  const workers = Math.max(1, Math.min(most, Math.floor(usableBytes() / sessionBytes)));
  return { workers, threadsEach: Math.max(1, Math.floor(threads / workers)) };
}

/** items.csv, with labels where images have some, and failed.csv. */
async function writeNames(staging: string, folder: string, parts: number, images: Images, dim: number): Promise<void> {
  const lines = async (name: string, title: string, of: (part: Part, first: number) => Iterable<string>) => {
    await writeOutput(join(staging, name), async (file: OutputFile) => {
      await file.write(Buffer.from(`${title}\n`));
      for (let part = 0; part < parts; part++) {
        const text = [...of(await wholePart(folder, part, dim), part * imagesOfPart)].join('');
        await file.write(Buffer.from(text));
      }
    });
  };
  const labelled = images.places.kind === 'records';
  await lines(extractedFiles.items, labelled ? 'item,label' : 'item', function* ({ failed, labels }, first) {
    const missing = new Set(failed.map(([image]) => image));
    const end = Math.min(images.count, first + imagesOfPart);
    for (let image = first, row = 0; image < end; image++) {
      if (missing.has(image)) continue;
      yield `${csvField(images.item(image))}${labels ? `,${labels[row]}` : ''}\n`;
      row++;
    }
  });
  await lines(extractedFiles.failed, 'item,reason', function* ({ failed }) {
    for (const [image, reason] of [...failed].sort(([a], [b]) => a - b)) {
      yield `${csvField(images.item(image))},${csvField(reason)}\n`;
    }
  });
}

async function wholePart(folder: string, part: number, dim: number): Promise<Part> {
  const path = partPath(folder, part);
  const content = await readPart(path, dim);
  if (content) return content;
  throw new NaanError('BAD_INPUT', `${path}: was damaged or removed meanwhile: the same command makes it again`);
}

function countOf(part: number, { rows, resized }: Part, dim: number): PartCount {
  return { part, rows: rows.length / dim, resized };
}

function imagesIn({ count }: Images, part: number): number {
  return Math.min(imagesOfPart, count - part * imagesOfPart);
}

function partPath(folder: string, part: number): string {
  return join(folder, `part-${String(part).padStart(6, '0')}`);
}
