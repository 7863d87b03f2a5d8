/**
 * What does extraction cost beside the plainest loop? Images a second of `naan extract`, and of a loop that decodes by sharp and
 * runs ONNX Runtime, image after image and with batches of 32, on as many threads of ONNX Runtime. Images and model are made.
 *
 *     node dist/bench/extract.js [--images 2000] [--threads 2] [--model w600k_r50.onnx] [--folder faces]
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { extract } from '../src/jobs/extract.js';
import { InferenceSession, Tensor } from '../src/kernels/onnx-runtime.js';
import { writeRecogniser } from '../test/extraction/recogniser-model.js';
import { report } from './report.js';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '2000' },
    threads: { type: 'string', default: String(availableParallelism()) },
    model: { type: 'string' },
    folder: { type: 'string' },
  },
});
const threads = Number(values.threads);
const work = mkdtempSync(join(tmpdir(), 'naan-extract-'));
const folder = values.folder ?? join(work, 'faces');
const model = values.model ?? join(work, 'model.onnx');
const side = 112;

try {
  if (!values.model) writeRecogniser(model);
  if (!values.folder) await makeImages(Number(values.images));
  const files = readdirSync(folder).map((name) => join(folder, name));
  const rates: Record<string, number> = {};
  const time = async (name: string, run: () => Promise<unknown>) => {
    const [began, before] = [performance.now(), process.cpuUsage()];
    await run();
    const cpu = process.cpuUsage(before);
    const seconds = (performance.now() - began) / 1000;
    rates[name] = files.length / seconds;
    const cpuSeconds = (cpu.user + cpu.system) / 1e6;
    console.log(
      `${name.padEnd(24)} ${(files.length / seconds).toFixed(0).padStart(6)} images/s ${(files.length / cpuSeconds).toFixed(0).padStart(6)} images a CPU-second`,
    );
    rates[`${name}, a CPU-second`] = files.length / cpuSeconds;
  };
  await time('naan extract', () => extract({ images: folder, model, out: join(work, 'out'), threads }));
  await time('plain, one by one', () => plain(files, 1));
  await time('plain, batches of 32', () => plain(files, 32));
  report('extract', { images: files.length, threads, model: values.model ?? 'made', rates });
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function makeImages(count: number): Promise<void> {
  mkdirSync(folder);
  for (let i = 0; i < count; i++) {
    const noise = Buffer.from(
      Array.from({ length: 14 * 14 * 3 }, (_, j) => (Math.imul(i * 600 + j, 2654435761) >>> 24) & 255),
    );
    const image = sharp(noise, { raw: { width: 14, height: 14, channels: 3 } }).resize(side, side);
    writeFileSync(join(folder, `${i}.jpg`), await image.jpeg({ quality: 90 }).toBuffer());
  }
}

async function plain(files: readonly string[], batch: number): Promise<void> {
  const session = await InferenceSession.create(model, {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    enableMemPattern: true,
  });
  const [{ name }] = session.inputMetadata;
  const plane = side * side;
  for (let start = 0; start < files.length; start += batch) {
    const some = files.slice(start, start + batch);
    const decoded = await Promise.all(some.map((file) => sharp(file).removeAlpha().raw().toBuffer()));
    const input = new Float32Array(some.length * 3 * plane);
    for (const [i, pixels] of decoded.entries()) {
      for (let p = 0; p < plane; p++) {
        for (let c = 0; c < 3; c++) input[(3 * i + c) * plane + p] = (pixels[3 * p + c] - 127.5) / 127.5;
      }
    }
    await session.run({ [name]: new Tensor('float32', input, [some.length, 3, side, side]) });
  }
  await session.release();
}
