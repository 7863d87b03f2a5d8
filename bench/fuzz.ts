/**
 * Does any file, however damaged or hostile, end in anything but an answer or one line? Reads seeded mutations of each kind of
 * file that naan takes: of its bytes as a whole (bits flipped, cut off, zeros, insertions, splices, repetitions) and of
 * its structure (fields, lengths, offsets, claims, JSON and opcodes, with the checksums made right again).
 *
 *     node dist/bench/fuzz.js [--per-reader 100000] [--seed 1] [--only npz] [--case 17] [--folder DIR] [--anew]
 *
 * A case is a function of seed, reader and number. A bench that was stopped goes on where it was, as long as seed and
 * number of cases are the same. Each reader has a process of its own, which is started again behind a case that ends it
 * or does not end. `--case` reads one case here, with its stack.
 */
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { count, table } from '../src/cli/format.js';
import { emptyTally, type Finding, fileOf, type Tally, tryCases } from './fuzz/cases.js';
import { makeReaders } from './fuzz/readers.js';
import { report } from './report.js';
import { filesIn } from './torture/lab.js';

const { values } = parseArgs({
  options: {
    'per-reader': { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    case: { type: 'string' },
    folder: { type: 'string', default: join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'naan-fuzz') },
    anew: { type: 'boolean', default: false },
    child: { type: 'string' },
    from: { type: 'string', default: '0' },
  },
});
const perReader = Number(values['per-reader']);
const seed = Number(values.seed);
const folder = resolve(values.folder);
/** A case that takes longer than this, whatever the machine does beside it, does not end. */
const hangMs = 60_000;
const portion = 1000;

interface Message {
  readonly at?: number;
  readonly finding?: Finding;
  readonly done?: { readonly to: number; readonly tally: Tally };
}

if (values.child !== undefined) await child(values.child, Number(values.from));
else if (values.case !== undefined) await one(values.only, Number(values.case));
else await all();

async function child(name: string, from: number): Promise<void> {
  const reader = (await makeReaders(join(folder, `seeds-${name}`))).find((one) => one.name === name)!;
  const send = (message: Message) => void process.send!(message);
  for (let start = from; start < perReader; start += portion) {
    const to = Math.min(perReader, start + portion);
    const tally = emptyTally();
    const place = { seed, from: start, to, folder: join(folder, `case-${name}`) };
    await tryCases(
      reader,
      place,
      tally,
      (finding) => send({ finding }),
      (at) => void (at % 20 === 0 && send({ at })),
    );
    send({ done: { to, tally } });
  }
  process.disconnect();
}

async function one(only: string | undefined, number: number): Promise<void> {
  const reader = (await makeReaders(join(folder, 'seeds'))).find(({ name }) => name === only);
  if (!reader) throw new Error('--case needs --only READER');
  const path = join(folder, reader.fileName);
  const { bytes, read } = fileOf(reader, seed, number);
  writeFileSync(path, bytes);
  console.log(`${path}: ${bytes.length} bytes`);
  console.log(await read(path));
}

interface Line {
  readonly reader: string;
  readonly to?: number;
  readonly tally?: Tally;
  readonly finding?: Finding;
}

async function all(): Promise<void> {
  const stateFile = join(folder, 'state.jsonl');
  const lines = earlier(stateFile);
  const note = (line: Line) => {
    lines.push(line);
    appendFileSync(stateFile, JSON.stringify(line) + '\n');
  };
  const readers = (await makeReaders(join(folder, 'seeds'))).filter(
    ({ name }) => values.only === undefined || name === values.only,
  );
  for (const { name } of readers) {
    let from = Math.max(0, ...lines.filter(({ reader }) => reader === name).map(({ to = 0 }) => to));
    while (from < perReader) from = await run(name, from, note);
    console.error(`fuzz: ${name}: ${perReader} cases`);
  }
  summarise(
    readers.map(({ name }) => name),
    lines,
  );
}

/** Runs a process from a case on until it ends; returns the case to go on with. */
function run(name: string, from: number, note: (line: Line) => void): Promise<number> {
  return new Promise((ended) => {
    const process_ = fork(fileURLToPath(import.meta.url), [
      ...[
        '--child',
        name,
        '--from',
        String(from),
        '--per-reader',
        String(perReader),
        '--seed',
        String(seed),
        '--folder',
        folder,
      ],
    ]);
    let next = from;
    let last = from;
    let hangs = false;
    const stop = () => {
      hangs = true;
      process_.kill('SIGKILL');
    };
    let timer = setTimeout(stop, hangMs);
    process_.on('message', ({ at, finding, done }: Message) => {
      clearTimeout(timer);
      timer = setTimeout(stop, hangMs);
      if (at !== undefined) last = at;
      if (finding) {
        note({ reader: name, finding });
        console.error(`fuzz: ${name} ${finding.number}: ${finding.what}`);
      }
      if (done) {
        next = done.to;
        note({ reader: name, to: next, tally: done.tally });
      }
    });
    process_.on('exit', (code, signal) => {
      clearTimeout(timer);
      if (next >= perReader || (code === 0 && next > from)) return ended(next);
      const what = hangs
        ? `does not end, at or soon after case ${last}`
        : `ended the process (${signal ?? code}), at or soon after case ${last}`;
      const tally = { ...emptyTally(), tried: last + 20 - next, ...(hangs ? { slow: 1 } : { raw: 1 }) };
      note({ reader: name, finding: { reader: name, number: last, what } });
      note({ reader: name, to: last + 20, tally });
      console.error(`fuzz: ${name}: ${what}`);
      ended(last + 20);
    });
  });
}

/** What a bench that was stopped has noted, if it was this one. */
function earlier(stateFile: string): Line[] {
  const hash = createHash('sha256').update(JSON.stringify({ seed, perReader }));
  for (const name of filesIn('dist').filter((file) => /^(src|bench\/fuzz).*\.js$/.test(file))) {
    hash.update(name).update(readFileSync(join('dist', name)));
  }
  const identity = JSON.stringify({ identity: hash.digest('hex') });
  if (existsSync(stateFile) && !values.anew) {
    const [first, ...rest] = readFileSync(stateFile, 'utf8').trim().split('\n');
    if (first === identity) return rest.map((line) => JSON.parse(line) as Line);
    console.error('fuzz: the bench left here was of other files, seed or number: starts anew');
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(stateFile, identity + '\n');
  return [];
}

function summarise(names: readonly string[], lines: readonly Line[]): void {
  const rows = names.map((name) => {
    const sum = emptyTally();
    for (const { reader, tally } of lines) {
      if (reader !== name || !tally) continue;
      for (const key of Object.keys(sum) as (keyof Tally)[]) sum[key] += tally[key];
    }
    return { reader: name, ...sum };
  });
  const heading = ['reader', 'tried', 'refused with a line', 'read', 'slow', 'too large', 'raw exceptions'];
  console.log(
    table([
      heading,
      ...rows.map((row) => [
        row.reader,
        ...[row.tried, row.refused, row.read, row.slow, row.large, row.raw].map(count),
      ]),
    ]),
  );
  const findings = lines.flatMap(({ finding }) => (finding ? [finding] : []));
  // Figures of one reader are no run of the bench.
  if (values.only === undefined) report('fuzz', { seed, perReader, rows, findings: findings.slice(0, 50) }, false);
  if (findings.length > 0) process.exitCode = 1;
}
