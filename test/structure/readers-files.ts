/** A folder as a reader of the docs has it: every file that a command on a page takes, small, under the name that the page gives it. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { findFeatures } from '../../src/io/features.js';
import { readLabels, readLabelsBeside } from '../../src/io/labels.js';
import { inflate } from '../../src/io/locate-matrix.js';
import { openRows, shapeOf } from '../../src/io/matrix.js';
import { writeNpy, writeNpz } from '../../src/io/npy-writer.js';
import { naan } from '../cli/naan.js';
import { writeRecogniser } from '../extraction/recogniser-model.js';

const identities = 60;
/** Images that differ; the others are copies of them, since decoding them is not what is tried. */
const images = 40;

export async function writeReadersFiles(folder: string): Promise<void> {
  const at = (name: string) => join(folder, name);
  const run = async (...args: string[]) => {
    const { code, stderr } = await naan([...args, '--quiet'], { cwd: folder });
    if (code !== 0) throw new Error(stderr);
  };
  // The set of the demo, and the model that it makes.
  await run('generate', '--ids', String(identities), '--dim', '32', '--k', '20', '--seed', '1', '--out', 'demo-run');
  const labeled = 'demo-run/labeled/split0';
  const training = ['--features', `${labeled}_feats.npz`, '--knn', `${labeled}_knn.npy`, '--epochs', '1'];
  await run('train', ...training, '--sample-hops', '10', '--out', 'demo-run/model.safetensors');

  // Features, graph and model that a page calls F, K and M.
  const unlabeled = at('demo-run/unlabeled/split1');
  const faces = await rowsOf(`${unlabeled}_feats.npz`);
  const { codes: truth } = await readLabels(`${unlabeled}_labels.txt`);
  await writeNpz(at('F'), async (add) => {
    await add('embs', 'f4', [faces.count, faces.dim], faces.all);
    await add('labels', 'i8', [faces.count], truth);
  });
  cpSync(`${unlabeled}_knn.npy`, at('K'));
  for (const name of ['M', 'model.safetensors']) cpSync(at('demo-run/model.safetensors'), at(name));
  writeFileSync(at('mine.yaml'), 'threads: 2\n');

  // Labelled rows of a user, and rows without labels: with names, in two months.
  const known = await rowsOf(at(`${labeled}_feats.npz`));
  await known.write(at('known.npy'), 0, known.count);
  const { codes } = (await readLabelsBeside(at(`${labeled}_feats.npz`)))!;
  writeFileSync(at('known.csv'), table(['path,person', ...[...codes].map((id, row) => `${nameOf(row)},person ${id}`)]));
  const names = Array.from({ length: faces.count }, (_, row) => nameOf(row));
  const june = Math.floor(0.8 * faces.count);
  for (const [name, from, to] of [
    ['faces', 0, faces.count],
    ['both', 0, faces.count],
    ['june', 0, june],
    ['july', june, faces.count],
  ] as const) {
    await faces.write(at(`${name}.npy`), from, to);
    writeFileSync(at(`${name}.csv`), table(['item', ...names.slice(from, to)]));
  }
  writeFileSync(at('images.txt'), table(names));
  writeFileSync(at('truth.csv'), table(['item,label', ...names.map((name, row) => `${name},${truth[row]}`).reverse()]));
  writeFileSync(at('gone.csv'), table(['item', names[3], names[june + 1]]));
  const time = '2026-06-30T12:00:00Z';
  const decisions = [
    { id: '1', time, kind: 'same', items: names.slice(0, 3) },
    { id: '2', time, kind: 'different', items: [names[9]], from: names.slice(0, 3) },
    { id: '3', time, kind: 'name', items: [names[0]], name: 'Ada' },
  ];
  writeFileSync(at('decisions.jsonl'), table(decisions.map((decision) => JSON.stringify(decision))));

  // Images of the rows, and a recogniser that reads them.
  const pixels = (i: number) => Uint8Array.from({ length: 112 * 112 * 3 }, (_, p) => (p * (i + 1)) % 251);
  const raw = { width: 112, height: 112, channels: 3 } as const;
  const pictures = await Promise.all(
    Array.from({ length: images }, (_, i) => sharp(pixels(i), { raw }).jpeg().toBuffer()),
  );
  for (const root of ['images', 'faces']) {
    names.forEach((name, row) => {
      mkdirSync(dirname(at(join(root, name))), { recursive: true });
      writeFileSync(at(join(root, name)), pictures[row % images]);
    });
  }
  for (const name of ['recogniser.onnx', 'w600k_r50.onnx']) writeRecogniser(at(name));
}

const nameOf = (row: number) => `${String(row % 20).padStart(2, '0')}/${String(row).padStart(6, '0')}.jpg`;
const table = (lines: readonly string[]) => `${lines.join('\n')}\n`;

async function rowsOf(path: string) {
  const location = await inflate(await findFeatures(path));
  const { rowCount, dim } = shapeOf(location);
  const all = new Float32Array(rowCount * dim);
  const reader = openRows(location);
  reader.read(0, rowCount, all);
  reader.close();
  return {
    count: rowCount,
    dim,
    all,
    write: (to: string, start: number, end: number) =>
      writeNpy(to, 'f4', [end - start, dim], all.subarray(start * dim, end * dim)),
  };
}
