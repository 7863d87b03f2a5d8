/**
 * Is anything lost, or silently wrong, whatever happens to a run? Attacks the built command from outside and compares
 * bytes with undisturbed runs: kills at random moments, damaged storage, changed inputs, two owners of one work
 * directory, and full disks. Nothing is timed.
 *
 *     node dist/bench/torture.js [--seed 1] [--only kill-label/concat] [--share 1] [--jobs 2] [--patience 1] [--folder DIR] [--anew]
 *
 * `--patience 10` lets runs take ten times as long before they count as hanging, on a machine that has much else to do.
 * A case is a function of the seed and its name, but for the moment that a signal happens to meet. A bench that was
 * stopped goes on with the cases left, as long as seed, share and the built files are the same. Some cases need root:
 * namespaces of their own and small file systems; without it they are skipped, and the table says so.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { count, duration, table } from '../src/cli/format.js';
import { report } from './report.js';
import { type Ending, setPatience } from './torture/command.js';
import { faultCases } from './torture/faults.js';
import { fullDiskCases } from './torture/full-disk.js';
import { killCases } from './torture/kills.js';
import { filesIn, Lab, type Size } from './torture/lab.js';
import { ownerCases } from './torture/owners.js';
import { tried, type Verdict } from './torture/trial.js';

// With it end what it started and mounted.
process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    share: { type: 'string', default: '1' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    patience: { type: 'string', default: '1' },
    folder: { type: 'string', default: join(tmpdir(), 'naan-torture') },
    anew: { type: 'boolean', default: false },
  },
});
/** Features are larger than what a digest reads of a file, and a run takes some seconds on one thread. */
const size: Size = { nodes: 16_000, dim: 288, ids: 60, epochs: { concat: 2, pairwise: 4 } };
const seed = Number(values.seed);
const share = Number(values.share);
const folder = resolve(values.folder);
const stateFile = join(folder, 'state.jsonl');
setPatience(Number(values.patience));

const everything = [...killCases(share), ...faultCases(share), ...ownerCases(share), ...fullDiskCases(share)];
const wanted = everything.filter(({ id }) => values.only === undefined || id.includes(values.only));
const verdicts = new Map(earlier().map((verdict) => [verdict.id, verdict]));
const lab = new Lab(join(folder, 'lab'), size);
await lab.prepare();

const left = wanted.filter(({ id }) => values.only !== undefined || !verdicts.has(id));
if (left.length < wanted.length) console.error(`torture: ${left.length} of ${wanted.length} cases are left`);
const began = performance.now();
const queue = [...left];
let over = 0;
await Promise.all(
  Array.from({ length: Number(values.jobs) }, async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const verdict = await tried(next, lab, join(folder, 'cases'), seed);
      verdicts.set(verdict.id, verdict);
      appendFileSync(stateFile, JSON.stringify(verdict) + '\n');
      over++;
      const { id, ending, note } = verdict;
      const bad = ending === 'different' || ending === 'failed';
      if (bad || values.only !== undefined) console.error(`torture: ${id}: ${ending}${note && `: ${note}`}`);
      if (over % 20 === 0) {
        const seconds = (performance.now() - began) / 1000;
        console.error(`torture: ${over} of ${left.length} cases in ${duration(seconds)}`);
      }
    }
  }),
);
summarise(wanted.map(({ id }) => verdicts.get(id)!));

/** Verdicts of a bench that was stopped, if it was this one. */
function earlier(): Verdict[] {
  const hash = createHash('sha256').update(JSON.stringify({ seed, share, size }));
  for (const name of filesIn('dist').filter((file) => /\.(js|wasm)$/.test(file) && !file.startsWith('test'))) {
    hash.update(name).update(readFileSync(join('dist', name)));
  }
  const identity = JSON.stringify({ identity: hash.digest('hex') });
  if (existsSync(stateFile) && !values.anew) {
    const [first, ...rest] = readFileSync(stateFile, 'utf8').trim().split('\n');
    if (first === identity) return rest.map((line) => JSON.parse(line) as Verdict);
    console.error('torture: the bench left here was of other files, seed or share: starts anew');
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(stateFile, identity + '\n');
  return [];
}

function summarise(all: readonly Verdict[]): void {
  const groups = [...new Set(all.map(({ group }) => group))];
  const sum = (some: readonly Verdict[], pick: (verdict: Verdict) => number) =>
    some.reduce((total, verdict) => total + pick(verdict), 0);
  const row = (some: readonly Verdict[]) => {
    const ended = (ending: Ending) => some.filter((verdict) => verdict.ending === ending).length;
    return {
      tried: some.length - ended('skipped'),
      kills: sum(some, ({ kills }) => kills),
      midway: sum(some, ({ midway }) => midway),
      survived: ended('survived'),
      refused: ended('refused'),
      different: ended('different'),
      failed: ended('failed'),
      skipped: ended('skipped'),
    };
  };
  const rows = [
    ...groups.map((group) => ({ case: group, ...row(all.filter((verdict) => verdict.group === group)) })),
    { case: 'all', ...row(all) },
  ];
  const heading = [
    'case',
    'tried',
    'kills',
    'gone on midway',
    'survived',
    'refused cleanly',
    'differing',
    'other failures',
  ];
  const cells = rows.map((group) =>
    [
      group.tried,
      group.kills,
      group.midway,
      group.survived,
      group.refused,
      group.different,
      group.failed,
      group.skipped,
    ].map(count),
  );
  console.log(table([[...heading, 'skipped'], ...rows.map((group, i) => [group.case, ...cells[i]])]));
  const refusals = [
    ...new Set(all.filter(({ ending }) => ending === 'refused').map(({ group, note }) => `${group}: ${plain(note)}`)),
  ];
  if (refusals.length > 0)
    console.log(`\nrefusals, one of each kind:\n${refusals.map((line) => `  ${line}`).join('\n')}`);
  for (const reason of new Set(all.filter(({ ending }) => ending === 'skipped').map(({ note }) => note))) {
    console.log(`\nskipped: ${reason}`);
  }
  const bad = all.filter(({ ending }) => ending === 'different' || ending === 'failed');
  for (const { id, ending, note } of bad) {
    console.log(`\n${id}: ${ending}: ${note}`);
    console.log(`  node dist/bench/torture.js --seed ${seed} --only ${id}`);
    console.log(`  ${join(folder, 'cases', id.replaceAll('/', '-'), 'commands.sh')}`);
  }
  if (values.only === undefined && share === 1) report('torture', { seed, size, rows, bad }, false);
  process.exitCode = bad.length > 0 ? 1 : 0;
}

/** A refusal without paths and numbers, which differ from case to case. */
function plain(note: string): string {
  return note
    .replaceAll(/\/\S*\//g, '')
    .replaceAll(/\b[0-9a-f]{16,}\b/g, '…')
    .replaceAll(/\d+(\.\d+)?/g, 'n');
}
