/**
 * A review of many clusters with many decisions: processor seconds of `naan review` until its first page has been answered, for each of its lists,
 * for pages, decisions and undos, with and without decisions of before; and seconds until Chromium shows the page, where there is one.
 *
 *     node dist/bench/review.js [--clusters 1000000] [--decisions 100000] [--folder DIR]
 *
 * The run is made: clusters of one to five rows with random trust, and two edges a row with random scores.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { clustersOf, relabel } from '../src/cluster/relabel.js';
import { RandomStream } from '../src/graph/random.js';
import { clusterTable, clusterTableName, writeClusterTable } from '../src/io/cluster-table.js';
import type { Items } from '../src/io/item-list.js';
import { labelTableName, writeLabelTable } from '../src/io/label-table.js';
import { writeNpy } from '../src/io/npy-writer.js';
import { recordName, recordOutputs } from '../src/io/output-record.js';
import { openBrowser, withoutChromium } from '../test/browser/chromium.js';
import { report } from './report.js';

const { values } = parseArgs({
  options: {
    clusters: { type: 'string', default: '1000000' },
    decisions: { type: 'string', default: '100000' },
    folder: { type: 'string', default: join(tmpdir(), 'naan-review') },
  },
});
const clusterCount = Number(values.clusters);
const decisionCount = Number(values.decisions);
const run = join(values.folder, `run-${clusterCount}`);
const main = resolve('dist/src/cli/main.js');
const nameOf = (row: number) => `faces/${row % 1000}/${String(row).padStart(8, '0')}.jpg`;

async function makeRun(): Promise<void> {
  const random = new RandomStream(1, 1, 0);
  const sizes = Array.from({ length: clusterCount }, () => 1 + random.below(5));
  const rowCount = sizes.reduce((sum, size) => sum + size, 0);
  const labels = new Int32Array(rowCount);
  let row = 0;
  for (let c = 0; c < clusterCount; c++) for (let i = 0; i < sizes[c]; i++) labels[row++] = c;
  for (let i = rowCount - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [labels[i], labels[j]] = [labels[j], labels[i]];
  }
  relabel(labels);
  const clusters = clustersOf(labels);
  const score = () => random.below(2 ** 20) / 2 ** 20;
  const column = (count: number) => Float32Array.from({ length: count }, score);
  const pairs = new Int32Array(4 * (rowCount - 2));
  for (let a = 0; a < rowCount - 2; a++) pairs.set([a, a + 1, a, a + 2], 4 * a);
  mkdirSync(run, { recursive: true });
  const written = ['made_labels.npy', 'made_margins.npy', 'made_edges.npy', 'made_scores.npy'];
  await writeNpy(join(run, written[0]), 'i8', [rowCount], labels);
  await writeNpy(join(run, written[1]), 'f4', [rowCount], column(rowCount));
  await writeNpy(join(run, written[2]), 'i4', [pairs.length / 2, 2], pairs);
  await writeNpy(join(run, written[3]), 'f4', [pairs.length / 2], column(pairs.length / 2));
  const [cohesion, separation, weakestJoin, trust] = [0, 1, 2, 3].map(() => column(clusterCount));
  const scores = { cohesion, separation, weakestJoin, trust };
  await writeClusterTable(join(run, clusterTableName), clusterTable(clusters.sizes, scores));
  const items: Items = {
    name: 'made',
    count: async () => rowCount,
    async each(visit) {
      for (let first = 0; first < rowCount; first += 65536) {
        const length = Math.min(65536, rowCount - first);
        await visit(
          Array.from({ length }, (_, i) => nameOf(first + i)),
          first,
        );
      }
    },
  };
  await writeLabelTable(join(run, labelTableName), items, labels);
  const none = { outputs: [], replaced: [] };
  const record = await recordOutputs(run, [...written, clusterTableName, labelTableName], none);
  writeFileSync(join(run, recordName), JSON.stringify(record));
}

interface Entry {
  readonly cluster: number;
  readonly action?: string;
}

/** What the server answers, as far as it is looked at. */
interface Answer {
  readonly entries: readonly (Entry & { readonly sides: readonly Entry[] })[];
  readonly decided: string;
}

interface Serving {
  readonly child: ChildProcess;
  readonly url: string;
}

async function serve(decisions: string): Promise<Serving> {
  const child = spawn(process.execPath, [main, 'review', run, '--decisions', decisions], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const url = await new Promise<string>((done, fail) => {
    const listen = (text: Buffer) => {
      said += text;
      const found = /open (http:\S+)/.exec(said);
      if (found) done(found[1]);
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    child.on('exit', () => fail(new Error(said)));
  });
  return { child, url };
}

/** Processor seconds of a process, all its threads together. */
function cpuOf({ child }: Serving): number {
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function peakMiB({ child }: Serving): number {
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]) / 1024);
}

async function get(serving: Serving, path: string): Promise<Answer> {
  const response = await fetch(serving.url + path);
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as Answer;
}

async function decide(serving: Serving, body: object): Promise<Answer> {
  const headers = { 'content-type': 'application/json', origin: new URL(serving.url).origin };
  const response = await fetch(`${serving.url}decide`, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as Answer;
}

/** What a review costs. `times`: repetitions of what is too short to be measured once. */
async function measure(decisions: string, times = 200) {
  const began = performance.now();
  const serving = await serve(decisions);
  const taken = async (work: () => Promise<unknown>, share = 1) => {
    const before = cpuOf(serving);
    await work();
    return (cpuOf(serving) - before) / share;
  };
  try {
    await get(serving, 'state');
    await get(serving, 'list?of=clusters&from=0&count=10');
    const seconds = (performance.now() - began) / 1000;
    const opened = cpuOf(serving);
    const splits = await taken(() => get(serving, 'list?of=splits&from=0&count=10'));
    const merges = await taken(() => get(serving, 'list?of=merges&from=0&count=10'));
    const page = await taken(async () => {
      for (let i = 0; i < times; i++) {
        await get(serving, 'state');
        const from = Math.floor(((i + 0.5) / times) * clusterCount);
        await get(serving, `list?of=clusters&from=${from}&count=10`);
      }
    }, times);
    const open: Entry[] = [];
    for (let from = 0; open.length <= 50; from += 50) {
      const { entries } = await get(serving, `list?of=clusters&from=${from}&count=50`);
      open.push(...entries.filter(({ action }) => !action));
    }
    const [one, ...others] = open.slice(0, 51);
    const first = await taken(() => decide(serving, { action: 'accept', cluster: one.cluster }));
    const decided: string[] = [];
    const decision = await taken(async () => {
      for (const { cluster } of others) decided.push((await decide(serving, { action: 'accept', cluster })).decided);
    }, others.length);
    const undo = await taken(async () => {
      for (const undoes of decided.reverse()) await decide(serving, { action: 'undo', undoes });
    }, others.length);
    const pairs = (await get(serving, 'list?of=merges&from=0&count=50')).entries;
    const some = pairs
      .filter(({ action, sides }) => !action && sides.every((side) => !side.action || side.action === 'accept'))
      .slice(0, 20);
    const merge = await taken(async () => {
      for (const { sides } of some)
        await decide(serving, { action: 'merge', cluster: sides[0].cluster, other: sides[1].cluster });
    }, some.length);
    return {
      opened: { cpuSeconds: opened, seconds },
      cpuSeconds: { splits, merges, page, first, decision, undo, merge },
      peakMiB: peakMiB(serving),
      ...(withoutChromium ? {} : { chromiumSeconds: await shown(serving) }),
    };
  } finally {
    serving.child.kill('SIGINT');
    await once(serving.child, 'exit');
  }
}

/** Seconds from the address to the first clusters on the page: the median of five loads. */
async function shown({ url }: Serving): Promise<number> {
  const browser = await openBrowser();
  try {
    const loads: number[] = [];
    for (let i = 0; i < 5; i++) {
      const page = await browser.newPage();
      const began = performance.now();
      await page.goto(url);
      await page.waitForSelector('article');
      loads.push((performance.now() - began) / 1000);
      await page.close();
    }
    return loads.sort((a, b) => a - b)[2];
  } finally {
    await browser.close();
  }
}

/** Decisions of this review: half of them accept a cluster, a quarter names one, a tenth joins two, the others say that two are different. */
function writeDecisions(path: string): void {
  const { outputs } = JSON.parse(readFileSync(join(run, recordName), 'utf8'));
  const of = outputs.find(({ name }: { name: string }) => name.endsWith('_labels.npy')).sha256.slice(0, 16);
  const rows: number[][] = Array.from({ length: clusterCount }, () => []);
  const lines = readFileSync(join(run, labelTableName), 'utf8').split('\n');
  for (let row = 0; row < lines.length - 2; row++)
    rows[Number(lines[row + 1].slice(lines[row + 1].indexOf(',') + 1))].push(row);
  const step = (0.9 * clusterCount) / decisionCount;
  const time = new Date().toISOString();
  rmSync(path, { force: true });
  let text = '';
  for (let i = 0; i < decisionCount; i++) {
    const a = Math.floor(i * step);
    const b = Math.floor(0.9 * clusterCount) + (i % Math.floor(0.05 * clusterCount));
    const items = rows[a].map(nameOf);
    const others = rows[b].map(nameOf);
    const noted = { id: `made-${i}`, time, of };
    const kind = i % 20;
    if (kind < 10) text += `${JSON.stringify({ ...noted, action: 'accept', clusters: [a], kind: 'same', items })}\n`;
    else if (kind < 15)
      text += `${JSON.stringify({ ...noted, action: 'name', clusters: [a], kind: 'name', items, name: `person ${i}` })}\n`;
    else if (kind < 17)
      text += `${JSON.stringify({ ...noted, action: 'merge', clusters: [a, b], kind: 'same', items: [items[0], others[0]] })}\n`;
    else
      text += `${JSON.stringify({ ...noted, action: 'apart', clusters: [a, b], kind: 'different', items, from: others })}\n`;
    if (text.length > 2 ** 20 || i === decisionCount - 1) {
      appendFileSync(path, text);
      text = '';
    }
  }
}

mkdirSync(values.folder, { recursive: true });
if (!existsSync(join(run, recordName))) await makeRun();
const none = join(values.folder, 'none.jsonl');
rmSync(none, { force: true });
const many = join(values.folder, 'many.jsonl');
writeDecisions(many);
report(`review-${clusterCount}`, {
  clusters: clusterCount,
  before: [
    { decisions: 0, ...(await measure(none)) },
    { decisions: decisionCount, ...(await measure(many)) },
  ],
});
