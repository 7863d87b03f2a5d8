import { cpus, totalmem } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { NaanError } from '../errors.js';
import { existingFolder, writeText, writeTogether } from '../io/output-file.js';
import { checkOutputs, isOurDrawing, startsAs } from '../io/outputs.js';
import { keyName } from '../options/names.js';
import { type Cause, type Causes, causes, greatestCause, secondsOf, sumOfCauses } from '../tuning/bottleneck.js';
import { heatMap } from '../tuning/heat-map.js';
import type { Comparison } from '../tuning/search.js';
import { type TuneResult, tune } from '../tuning/tune.js';
import { version } from '../version.js';
import type { Run } from './command.js';
import { bytes, count, duration, table } from './format.js';

export const run: Run<'tune'> = async (values, { signal, onProgress, log }) => {
  const { out, overwrite, ...options } = values;
  if (extname(out) === '.svg')
    throw new NaanError('BAD_USAGE', `--out: got '${out}', expected a .yaml file: the map is .svg`);
  const map = `${basename(out, extname(out))}.svg`;
  const { features, knn, model, config } = options;
  const files = [
    { name: 'out', path: out, isOurs: isOurSetting, otherwise: 'is no setting that naan tune found' },
    { name: 'out', path: join(dirname(out), map), isOurs: isOurDrawing, otherwise: 'is no map of naan tune' },
  ];
  await checkOutputs(files, { features, knn, model, config }, overwrite);
  const result = await tune({
    ...options,
    signal,
    onProgress,
    onNotice: log.warn,
    diskFolder: existingFolder(dirname(out)).folder,
  });
  const { nodes, dim } = result;
  await writeTogether(dirname(out), async (folder) => {
    await writeText(join(folder, basename(out)), settingsFile(result, out));
    await writeText(join(folder, map), heatMap(result, `naan label, ${count(nodes)} × ${dim}`));
  });
  const chosen = result.verdict === 'faster' ? 'the fastest setting' : 'the defaults';
  const written = `${chosen} in ${out}, a map of all that were timed in ${join(dirname(out), map)}`;
  return {
    json: { ...result, limitedBy: greatestCause(sumOfCauses(result.stages)), machine: machine(), out },
    text: `${describe(result)}\n\n${written}:\n  naan label --config ${out} --features F --knn K --model M --out DIR`,
  };
};

const isOurSetting = startsAs(/^# .* that naan tune timed on /);

/** The settings as `naan label --config` takes them, with their origin. */
function settingsFile(result: TuneResult, out: string): string {
  const { trials, best, nodes, dim, predicted } = result;
  const day = new Date().toISOString().slice(0, 10);
  const lines = [
    `# The choice of ${trials.length} settings that naan tune timed on ${day} on ${machine()}.`,
    `# ${verdictOf(result)}`,
    `# ${count(nodes)} rows × ${dim} should take ${duration(predicted.best)}.`,
    `# To use it: naan label --config ${out} ...`,
    ...(best.options.precision === 'bf16'
      ? ['# bf16 moves scores by some thousandths: take it out where that matters.']
      : []),
    ...Object.entries(best.options).map(([name, value]) => `${keyName(name)}: ${value}`),
  ];
  return `${lines.join('\n')}\n`;
}

function machine(): string {
  const cores = cpus();
  const model = cores[0]?.model.trim() ?? process.arch;
  return `${model}, ${cores.length} cores, ${bytes(totalmem())}, Node ${process.version}, naan ${version}`;
}

const shownTrials = 12;

const judgements: Readonly<Record<Comparison, string>> = {
  faster: 'faster',
  'not faster': 'not faster',
  undecided: 'cannot tell',
};

function verdictOf({ trials, best, verdict }: TuneResult): string {
  if (verdict === 'faster')
    return `${best.speed.toFixed(2)} times as fast as the defaults, by ${best.rounds} rounds of both.`;
  if (verdict === 'not faster') return 'Nothing that was timed is faster than the defaults, so they stay.';
  if (verdict === 'faster on the sample alone') {
    return 'Another setting is faster on the sample, but should gain nothing on the whole set; the defaults stay.';
  }
  const rounds = Math.max(...trials.map((trial) => trial.rounds));
  if (rounds === 0) {
    return 'The time ended before any setting could be timed beside the defaults again; they stay. A larger --budget would tell.';
  }
  return (
    `Runs of one setting differ by more than the settings do in ${count(rounds)} rounds, so it cannot be told whether another one is ` +
    'faster; the defaults stay. A larger --budget, or a machine without other work, would tell.'
  );
}

function describe(result: TuneResult): string {
  const { trials, best, nodes, sample, runs, seconds, predicted, verdict, coldReadSeconds, check } = result;
  const names = Object.keys(best.options);
  const shown = trials.slice(0, shownTrials);
  if (!shown.includes(best)) shown[shown.length - 1] = best;
  const settingsTable = table([
    [...names, 'runs', 'speed', 'than the defaults', ''],
    ...shown.map((trial) => [
      ...Object.values(trial.options).map(String),
      ...[String(trial.runs), trial.speed.toFixed(2), trial.comparison ? judgements[trial.comparison] : ''],
      trial === best ? '← chosen' : '',
    ]),
  ]);
  const hidden = trials.length - shown.length;
  const coldRead =
    coldReadSeconds < 0.02 * predicted.best
      ? []
      : [`Features that no cache holds take ${duration(coldReadSeconds)} to read from this disk at least.`];
  const byDefaults = verdict === 'faster' ? `, ${duration(predicted.defaults)} with the defaults` : '';
  return [
    settingsTable,
    ...(hidden > 0 ? [`and ${hidden} that promised less`] : []),
    '',
    `${runs} runs of ${trials.length} settings on ${count(sample)} rows in ${duration(seconds)}; speed is beside the defaults in the same rounds`,
    verdictOf(result),
    '',
    stagesTable(result),
    '',
    explanation(result),
    ...coldRead,
    '',
    `${count(nodes)} rows should take ${duration(predicted.best)} with the chosen setting${byDefaults}`,
    ...(check ? [checked(check.seconds, predicted.best)] : []),
  ].join('\n');
}

const headings: Readonly<Record<Cause, string>> = {
  gemm: 'products',
  randomRows: 'gathers',
  stream: 'copies',
  idle: 'idle',
  oneThread: 'one thread',
  other: 'other',
};

/** Shares of the time of each stage, the stages that matter. */
function stagesTable({ stages, limits }: TuneResult): string {
  const total = sumOfCauses(stages);
  const whole = secondsOf(total);
  const row = (name: string, all: Causes) => [
    name,
    percent(secondsOf(all) / whole),
    ...causes.map((cause) => (all[cause] > 0 ? percent(all[cause] / secondsOf(all)) : '')),
  ];
  const rows = Object.entries(stages).filter(([, all]) => secondsOf(all) >= 0.01 * whole);
  const { gemmGflops, randomRowGBps, streamGBps, disk } = limits;
  const rates = [
    `products ${gemmGflops.toFixed(0)} GFLOP/s`,
    `gathers ${randomRowGBps.toFixed(1)} GB/s`,
    `copies ${streamGBps.toFixed(1)} GB/s`,
    ...(disk ? [`disk reads ${disk.readGBps.toFixed(1)} and writes ${disk.writeGBps.toFixed(1)} GB/s`] : []),
  ];
  return [
    table([
      ['where the time of all goes', '', ...causes.map((cause) => headings[cause])],
      ...rows.map(([name, all]) => row(`  ${name}`, all)),
      row('  in all', total),
    ]),
    `by what this machine was measured to do on ${limits.threads} threads: ${rates.join(', ')}`,
  ].join('\n');
}

/** No explanation names a setting that the search varies: the search has said what that is worth. */
const explanations: Readonly<Record<Cause, string>> = {
  gemm: 'matrix products limit this run: more cores would help, and for the head concat a GPU.',
  randomRows: 'gathering rows from memory limits this run: faster memory would help.',
  stream: 'the bandwidth of memory limits this run: faster memory would help, more cores would not.',
  idle: 'threads wait for each other, or for other work on this machine: a machine of its own would help.',
  oneThread: 'stages that only one thread works on limit this run: a faster core would help, more of them would not.',
  other:
    'neither products nor memory limit this run, but the kernels and bookkeeping between them: more cores would help.',
};

function explanation({ stages }: TuneResult): string {
  const total = sumOfCauses(stages);
  const cause = greatestCause(total);
  return `${percent(total[cause] / secondsOf(total))} of the time goes to one thing: ${explanations[cause]}`;
}

function checked(seconds: number, predicted: number): string {
  const difference = seconds / predicted - 1;
  const direction = difference < 0 ? 'less' : 'more';
  return `it took ${duration(seconds)}, ${percent(Math.abs(difference))} ${direction} than predicted`;
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
