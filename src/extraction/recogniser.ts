/** The ONNX model of a recogniser: what its input is, and embeddings of batches of images. */
import { NaanError } from '../errors.js';
import type { InferenceSession, SessionOptions, ValueMetadata } from '../kernels/onnx-runtime.js';
import { oneThread, runInto } from '../kernels/onnx-session.js';
import type { Preset } from './presets.js';
import type { Pixels } from './resize.js';

/** The inputs and outputs of a model, found once and given to each thread. */
export interface RecogniserPlan {
  readonly model: string;
  readonly input: string;
  readonly output: string;
  /** Whether channels come before rows. */
  readonly channelsFirst: boolean;
  readonly height: number;
  readonly width: number;
  /** Images that the model takes at once, where it fixes that. */
  readonly fixedBatch: number | undefined;
  /** Whether results can go to a tensor of as many rows: insightface's models declare one row of output for any batch. */
  readonly takesOutput: boolean;
  /** Shape of an embedding, without the batch. */
  readonly shape: readonly number[];
  readonly dim: number;
  readonly channels: Preset['channels'];
  readonly mean: number;
  readonly std: number;
  /** Whether an embedding is the mean of those of the image and its mirror image. */
  readonly flip: boolean;
}

export interface RecogniserSettings extends Preset {
  readonly flip: boolean;
  readonly output?: string | undefined;
}

/** Puts embeddings of images, all of the size of the plan, into out [images × dim]. */
export interface Recogniser {
  embed(images: readonly Pixels[], out: Float32Array): Promise<void>;
  release(): Promise<void>;
}

/** Loads the model once, on the CPU, and runs an image of nothing through it. Throws BAD_MODEL, BAD_USAGE. */
export async function planRecogniser(model: string, settings: RecogniserSettings): Promise<RecogniserPlan> {
  const { Tensor } = await import('../kernels/onnx-runtime.js');
  const session = await openSession(model, oneThread);
  try {
    const { inputMetadata, outputMetadata } = session;
    const [input] = inputMetadata;
    if (inputMetadata.length !== 1) throw badModel(model, `has ${inputMetadata.length} inputs`, 'one, of images');
    const form = formOf(model, input, settings.size);
    const output = outputOf(model, outputMetadata, settings.output);
    const { channels, mean, std, flip } = settings;
    const declared = outputMetadata.find(({ name }) => name === output)?.shape?.[0];
    const takesOutput = typeof declared !== 'number' || declared === form.fixedBatch;
    const plan = { model, input: input.name, output, takesOutput, ...form, channels, mean, std, flip };
    const count = form.fixedBatch ?? 1;
    const zeros = new Float32Array(count * 3 * form.height * form.width);
    let found: { readonly dims: readonly number[]; readonly data: ArrayBufferView };
    try {
      const results = await session.run({ [input.name]: new Tensor('float32', zeros, inputShape(plan, count)) });
      found = results[output];
    } catch (error) {
      throw badModel(model, `does not take an image of ${form.height} × ${form.width}: ${firstLine(error)}`);
    }
    const [rows, ...shape] = found.dims;
    const dim = shape.reduce((product, size) => product * size, 1);
    if (rows !== count || !(found.data instanceof Float32Array) || dim < 1 || shape.length < 1) {
      throw badModel(model, `output '${output}' is of shape (${found.dims})`, 'float32 of an embedding an image');
    }
    return { ...plan, shape, dim };
  } finally {
    await session.release();
  }
}

export async function startRecogniser(plan: RecogniserPlan, options: SessionOptions): Promise<Recogniser> {
  const { Tensor } = await import('../kernels/onnx-runtime.js');
  // ONNX Runtime would warn at each batch of a shape that is not the declared one.
  const quiet = plan.takesOutput ? {} : { logSeverityLevel: 3 as const };
  const session = await openSession(plan.model, { ...options, ...quiet });
  const { height, width, fixedBatch, dim, shape } = plan;
  const imageValues = 3 * height * width;
  const values = Float32Array.from({ length: 256 }, (_, value) => (value - plan.mean) / plan.std);
  let capacity = 0;
  let input = new Float32Array(0);
  let result = new Float32Array(0);

  const run = async (images: readonly Pixels[], mirrored: boolean): Promise<void> => {
    const count = fixedBatch ?? images.length;
    if (count > capacity) {
      capacity = count;
      input = new Float32Array(count * imageValues);
      result = new Float32Array(count * dim);
    }
    for (const [i, image] of images.entries()) fill(plan, values, image, mirrored, input, i * imageValues);
    input.fill(0, images.length * imageValues, count * imageValues);
    const batch = {
      [plan.input]: new Tensor('float32', input.subarray(0, count * imageValues), inputShape(plan, count)),
    };
    const rows = result.subarray(0, count * dim);
    if (plan.takesOutput) {
      await runInto(session, batch, { [plan.output]: new Tensor('float32', rows, [count, ...shape]) });
      return;
    }
    const data = (await session.run(batch))[plan.output].data as Float32Array;
    if (data.length !== rows.length) {
      throw badModel(plan.model, `gives ${data.length} values for ${count} images`, `${rows.length}`);
    }
    rows.set(data);
  };

  return {
    async embed(images, out) {
      const atOnce = fixedBatch ?? images.length;
      for (let start = 0; start < images.length; start += atOnce) {
        const some = images.slice(start, start + atOnce);
        const rows = out.subarray(start * dim, (start + some.length) * dim);
        await run(some, false);
        rows.set(result.subarray(0, rows.length));
        if (!plan.flip) continue;
        await run(some, true);
        for (let i = 0; i < rows.length; i++) rows[i] = (rows[i] + result[i]) / 2;
      }
    },
    release: () => session.release(),
  };
}

/** Pixels [height × width × 3] as the model wants them. */
function fill(
  { channelsFirst, channels, height, width }: RecogniserPlan,
  values: Float32Array,
  { data }: Pixels,
  mirrored: boolean,
  input: Float32Array,
  at: number,
): void {
  const [pixelStep, channelStep] = channelsFirst ? [1, height * width] : [3, 1];
  for (let channel = 0; channel < 3; channel++) {
    const from = channels === 'rgb' ? channel : 2 - channel;
    for (let y = 0; y < height; y++) {
      let place = at + channel * channelStep + (y * width + (mirrored ? width - 1 : 0)) * pixelStep;
      const step = mirrored ? -pixelStep : pixelStep;
      for (let pixel = y * width * 3 + from, end = pixel + width * 3; pixel < end; pixel += 3, place += step) {
        input[place] = values[data[pixel]];
      }
    }
  }
}

function inputShape(
  { channelsFirst, height, width }: Pick<RecogniserPlan, 'channelsFirst' | 'height' | 'width'>,
  count: number,
) {
  return channelsFirst ? [count, 3, height, width] : [count, height, width, 3];
}

/** Layout and size of the input. A size that is a name is known only at run time. */
function formOf(model: string, { name, type, shape }: ValueMetadata, [height, width]: readonly [number, number]) {
  const got = `input '${name}' is ${type} of shape (${shape?.join(',')})`;
  const expected = 'float32 of (n,3,height,width) or (n,height,width,3)';
  if (type !== 'float32' || shape?.length !== 4) throw badModel(model, got, expected);
  const [batch, ...rest] = shape;
  const channelsFirst = rest[0] === 3 || (rest[2] !== 3 && typeof rest[0] === 'string');
  const known = (channelsFirst ? [rest[1], rest[2]] : [rest[0], rest[1]]).map((size) =>
    typeof size === 'number' ? size : undefined,
  );
  if (rest[channelsFirst ? 0 : 2] !== 3 && typeof rest[channelsFirst ? 0 : 2] === 'number')
    throw badModel(model, got, expected);
  const found = { height: known[0] ?? height, width: known[1] ?? width };
  if (found.height < 1 || found.width < 1 || found.height * found.width > 2 ** 24) throw badModel(model, got, expected);
  return { channelsFirst, ...found, fixedBatch: typeof batch === 'number' && batch > 0 ? batch : undefined };
}

function outputOf(model: string, outputs: readonly ValueMetadata[], chosen: string | undefined): string {
  const names = outputs.map(({ name }) => name);
  const listed = names.map((name) => `'${name}'`).join(', ');
  if (chosen !== undefined) {
    if (names.includes(chosen)) return chosen;
    throw new NaanError('BAD_USAGE', `output: ${model} has no output '${chosen}', expected ${listed}`);
  }
  if (names.length === 1) return names[0];
  const rows = outputs.filter(({ shape }) => shape?.length === 2);
  if (rows.length === 1) return rows[0].name;
  throw new NaanError('BAD_USAGE', `${model}: has the outputs ${listed}: say by --output which one is the embedding`);
}

async function openSession(model: string, options: SessionOptions): Promise<InferenceSession> {
  const { InferenceSession } = await import('../kernels/onnx-runtime.js');
  try {
    return await InferenceSession.create(model, options);
  } catch (error) {
    const wanted = options.executionProviders[0];
    if (wanted !== 'cpu') {
      const name = typeof wanted === 'string' ? wanted : wanted.name;
      throw new NaanError('BACKEND_UNAVAILABLE', `${model}: does not start on ${name}: ${firstLine(error)}`, {
        cause: error,
      });
    }
    throw badModel(model, `is no ONNX model that can be loaded: ${firstLine(error)}`);
  }
}

function badModel(model: string, got: string, expected?: string): NaanError {
  return new NaanError('BAD_MODEL', `${model}: ${got}${expected ? `, expected ${expected}` : ''}`);
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().split('\n')[0];
}
