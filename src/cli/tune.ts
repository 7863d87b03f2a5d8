import { cpus, totalmem } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { NaanError } from '../errors.js';
import { existingFolder, writeText, writeTogether } from '../io/output-file.js';
import { checkOutputs, isOurDrawing, startsAs } from '../io/outputs.js';
import { keyName } from '../options/names.js';
import { type Cause, type Causes, causes, greatestCause, secondsOf, sumOfCauses } from '../tuning/bottleneck.js';
import { heatMap } from '../tuning/heat-map.js';
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
  const { trials, best, nodes, dim } = result;
  await writeTogether(dirname(out), async (folder) => {
    await writeText(join(folder, basename(out)), settingsFile(result, out));
    await writeText(join(folder, map), heatMap(trials, best.setting, nodes, `naan label, ${count(nodes)} × ${dim}`));
  });
  const written = `the best setting is in ${out}, a map of all in ${join(dirname(out), map)}`;
  return {
    json: { ...result, limitedBy: greatestCause(sumOfCauses(result.stages)), machine: machine(), out },
    text: `${describe(result)}\n\n${written}:\n  naan label --config ${out} --features F --knn K --model M --out DIR`,
  };
};

const isOurSetting = startsAs(/^# .* that naan tune timed on /);

/** What `naan label --config` takes, and where it comes from. */
function settingsFile({ trials, best, nodes, dim, predicted }: TuneResult, out: string): string {
  const day = new Date().toISOString().slice(0, 10);
  const lines = [
    `# The best of ${trials.length} settings that naan tune timed on ${day} on ${machine()}.`,
    `# ${times(best.speed)} as the defaults; ${count(nodes)} rows × ${dim} should take ${duration(predicted.best)}.`,
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

function describe(result: TuneResult): string {
  const { trials, best, nodes, runs, seconds, predicted, coldReadSeconds, check } = result;
  const names = Object.keys(best.options);
  const shown = trials.slice(0, shownTrials);
  if (!shown.includes(best)) shown[shown.length - 1] = best;
  const settingsTable = table([
    [...names, 'sample', 'runs', 'speed', ''],
    ...shown.map((trial) => [
      ...Object.values(trial.options).map(String),
      ...[count(trial.nodes), String(trial.runs), trial.speed.toFixed(2), trial === best ? '← best' : ''],
    ]),
  ]);
  const hidden = trials.length - shown.length;
  const coldRead =
    coldReadSeconds < 0.02 * predicted.best
      ? []
      : [`Features that no cache holds take ${duration(coldReadSeconds)} to read from this disk at least.`];
  return [
    settingsTable,
    ...(hidden > 0 ? [`and ${hidden} slower`] : []),
    '',
    `${runs} runs of ${trials.length} settings in ${duration(seconds)}; speed is beside the defaults on the same sample`,
    '',
    stagesTable(result),
    '',
    explanation(result),
    ...coldRead,
    '',
    `${count(nodes)} rows should take ${duration(predicted.best)} with the best setting, ${duration(predicted.defaults)} with the defaults`,
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

const explanations: Readonly<Record<Cause, string>> = {
  gemm: 'matrix products limit this run: more cores or a GPU back-end would help, other settings hardly.',
  randomRows: 'gathering rows from memory limits this run: faster memory would help, or rows of half the size.',
  stream: 'the bandwidth of memory limits this run: more threads would not help.',
  idle: 'threads wait for each other: more and smaller shards, or fewer threads, would help.',
  oneThread: 'stages that only one thread works on limit this run: more threads would not help.',
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

/** 1.12 → `1.12 times as fast`. */
function times(speed: number): string {
  return speed === 1 ? 'As fast' : `${speed.toFixed(2)} times as fast`;
}
