/**
 * From a folder of images to a data set: 500 images of 50 people are made, and the commands a user would type turn them into
 * image folders, which are counted. The recogniser is a made one, and so are the faces: this shows the way, not quality.
 *
 *     node dist/bench/folder.js [--model model.safetensors] [--folder folder-run]
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { writeRecogniser } from '../test/extraction/recogniser-model.js';

const { values } = parseArgs({
  options: { model: { type: 'string' }, folder: { type: 'string', default: 'folder-run' } },
});
const model = values.model && resolve(values.model);
const [people, imagesEach, side] = [50, 10, 112];
const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));
rmSync(values.folder, { recursive: true, force: true });
mkdirSync(values.folder, { recursive: true });
process.chdir(values.folder);

/** A person is a pattern of colours; each image of one differs by a little noise and lies in the folder of its day. */
const randomOf = (seed: number) => {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
};
const nameOf = (person: number, i: number) =>
  `day${(person + i) % 7}/${String((person * 37 + i * 51) % 500).padStart(3, '0')}-${i}.jpg`;
for (let person = 0; person < people; person++) {
  const face = Array.from({ length: 7 * 7 * 3 }, randomOf(person * 7919 + 1));
  for (let i = 0; i < imagesEach; i++) {
    const noise = randomOf(person * 104_729 + i * 31 + 7);
    const pixels = Uint8Array.from(face, (value) => 255 * Math.min(1, Math.max(0, value + 0.25 * (noise() - 0.5))));
    const image = sharp(pixels, { raw: { width: 7, height: 7, channels: 3 } }).resize(side, side);
    const path = join('faces', nameOf(person, i));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, await image.jpeg({ quality: 90 }).toBuffer());
  }
}
writeRecogniser('recogniser.onnx', { linear: true, values: 128 });

function naan(command: string): void {
  console.log(`\n$ naan ${command}`);
  const { status } = spawnSync(process.execPath, [main, ...command.split(' '), '--quiet'], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
naan('extract --images faces --model recogniser.onnx --out embeddings');
const scorer = model ? `--model ${model} ` : '';
naan(`label --features embeddings/features.npy --items embeddings/items.csv ${scorer}--out labels`);
naan('export --run labels --root faces --to imagefolder --out people');

const truth = new Map(
  Array.from({ length: people * imagesEach }, (_, k) => [
    nameOf(Math.floor(k / imagesEach), k % imagesEach),
    Math.floor(k / imagesEach),
  ]),
);
const classes = readdirSync('people/train');
const listed = readFileSync('people/train.csv', 'utf8').trim().split('\n').slice(1);
const pure = new Map<string, Set<number>>();
for (const line of listed) {
  const [item, label] = line.split(',');
  const seen = pure.get(label) ?? new Set();
  seen.add(truth.get(item)!);
  pure.set(label, seen);
}
const links = classes.reduce((sum, name) => sum + readdirSync(join('people/train', name)).length, 0);
const ofOne = [...pure.values()].filter((seen) => seen.size === 1).length;
console.log(`\ncounted: ${links} images in ${classes.length} folders, ${ofOne} of them of one person each`);
if (links !== listed.length || classes.length !== pure.size) process.exitCode = 1;
