/**
 * The story of docs/workflow.md: a year of a set in commands, with what they print. The set is that of `npm run demo`, which must have run; who decides looks at the
 * truth.
 *
 *     npm run demo && node dist/bench/story.js [--folder DIR]
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { RandomStream } from '../src/graph/random.js';
import { locateSource } from '../src/io/feature-source.js';
import { readLabels } from '../src/io/labels.js';
import { openRows } from '../src/io/matrix.js';
import { writeNpy } from '../src/io/npy-writer.js';

const { values } = parseArgs({ options: { folder: { type: 'string', default: join(tmpdir(), 'naan-story') } } });
const { folder } = values;
const main = resolve('dist/src/cli/main.js');
const split = 'demo-run/unlabeled/split1';
const model = resolve('demo-run/model.safetensors');
const rowsInJune = 8000;
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

/** Runs a line of a shell in the folder, in which naan is the command; prints both. */
function shell(line: string): void {
  console.log(`\n$ ${line}`);
  const script = `naan() { "${process.execPath}" "${main}" "$@"; }; ${line}`;
  const { status } = spawnSync('bash', ['-c', script], { cwd: folder, stdio: 'inherit' });
  if (status !== 0) throw new Error(`ended with ${status}`);
}

const truth = (await readLabels(`${split}_labels.txt`)).codes;
const reader = openRows(await locateSource(`${split}_feats.npz`));
const { dim } = reader;
const random = new RandomStream(6, 1, 0);
const keys = Float64Array.from({ length: reader.rowCount }, () => random.uniform());
const order = [...keys.keys()].sort((a, b) => keys[a] - keys[b]);
const nameOf = (row: number) => `${String(row % 97).padStart(2, '0')}/${String(row).padStart(6, '0')}.jpg`;
const names = order.map(nameOf);
for (const [name, start, end] of [
  ['june', 0, rowsInJune],
  ['july', rowsInJune, order.length],
  ['both', 0, order.length],
] as const) {
  const rows = new Float32Array((end - start) * dim);
  for (let i = start; i < end; i++) reader.read(order[i], 1, rows.subarray((i - start) * dim, (i - start + 1) * dim));
  await writeNpy(join(folder, `${name}.npy`), 'f4', [end - start, dim], rows);
  writeFileSync(join(folder, `${name}.csv`), `item\n${names.slice(start, end).join('\n')}\n`);
}
reader.close();

shell(
  `naan label --features june.npy --items june.csv --model ${model} --save-knn june_knn.npy --trust --out june --quiet`,
);
shell("sort -t, -k5 -g june/clusters.csv | awk -F, '$2 > 3' | cut -d, -f1-5 | head -3");

const { codes: labels } = await readLabels(join(folder, 'june/june_labels.npy'));
const rowsOf: number[][] = [];
labels.forEach((label, row) => {
  rowsOf[label] ??= [];
  rowsOf[label].push(row);
});
const truthOf = (row: number) => truth[order[row]];
/** The identity of most rows of a cluster, and the rows that are of others. */
const looked = rowsOf.map((rows) => {
  const counts = new Map<number, number>();
  for (const row of rows) counts.set(truthOf(row), (counts.get(truthOf(row)) ?? 0) + 1);
  const [identity] = [...counts].sort((a, b) => b[1] - a[1])[0];
  return { identity, others: rows.filter((row) => truthOf(row) !== identity) };
});
const strayed = looked.findIndex(({ others }, c) => others.length === 1 && rowsOf[c].length >= 6);
const [one, other] = looked
  .map(({ identity, others }, c) => {
    const twin = looked.findIndex((its, d) => d > c && its.identity === identity && its.others.length === 0);
    return others.length === 0 && twin >= 0 && rowsOf[c].length >= 4 && rowsOf[twin].length >= 4 ? [c, twin] : [];
  })
  .find(({ length }) => length === 2)!;
console.log(`\ncluster ${strayed} is one person but for one image, ${one} and ${other} are one person`);
const itemsOf = (rows: readonly number[]) => rows.map((row) => names[row]);
const [stray] = looked[strayed].others;
const rest = rowsOf[strayed].filter((row) => row !== stray);
const decisions = [
  { kind: 'same', items: itemsOf(rest) },
  { kind: 'different', items: itemsOf([stray]), from: itemsOf(rest) },
  { kind: 'same', items: itemsOf([...rowsOf[one], ...rowsOf[other]]) },
  { kind: 'name', items: itemsOf([rowsOf[one][0]]), name: 'Ada' },
];
const time = '2026-06-30T12:00:00Z';
const lines = decisions.map((decision, i) => `${JSON.stringify({ id: String(i + 1), time, ...decision })}\n`);
writeFileSync(join(folder, 'decisions.jsonl'), lines.join(''));
shell('cat decisions.jsonl');

const june = 'naan label --features june.npy --knn june_knn.npy --items june.csv';
shell(`${june} --model ${model} --constraints decisions.jsonl --previous june --out june-2 --quiet`);
shell('grep -v kept june-2/changes.csv; cat june-2/names.csv');
shell('naan assign --run june-2 --features july.npy --items july.csv --out july-assigned.csv --quiet');
shell('head -2 july-assigned.csv');
const both = 'naan label --features both.npy --items both.csv';
shell(`${both} --model ${model} --constraints decisions.jsonl --previous june-2 --out july --quiet`);
shell('cat july/names.csv');

shell('naan label --features june.npy --items june.csv --save-knn june_knn.npy --overwrite --out june-alone --quiet');
shell('naan add --run june-alone --features july.npy --items july.csv --out july-added --quiet');
const gone = [names[4711], names[rowsInJune + 815]];
writeFileSync(join(folder, 'gone.csv'), `item\n${gone.join('\n')}\n`);
shell('cat gone.csv');
shell('naan remove --run july-added --items gone.csv --out july-less --quiet');
shell(`grep -rlaF -e ${gone[0]} -e ${gone[1]} july-less | wc -l`);
