/** The settings of `naan label` that suit a machine and a set, found by timing the engine itself on samples. */
import { dirname } from 'node:path';
import { availableCores } from '../cgroup.js';
import { columnsOf, hopsFor } from '../engine/head.js';
import type { RunObserver, WatchedRun } from '../engine/run-observer.js';
import { checkWidth } from '../engine/scoring-run.js';
import { asNaanError } from '../errors.js';
import { headOf } from '../heads/heads.js';
import { findSource } from '../io/feature-source.js';
import { readKnn } from '../io/knn.js';
import { inflate } from '../io/locate-matrix.js';
import { shapeOf } from '../io/matrix.js';
import { type LabelOptions, label } from '../jobs/label.js';
import { resolveBackend } from '../machine/choose-backend.js';
import { type Limits, measureLimits } from '../machine/limits.js';
import { paddedDim } from '../memory/shared-arrays.js';
import { generalModel } from '../model/general.js';
import { readModel } from '../model/model-file.js';
import type { ProgressListener } from '../progress.js';
import { type Causes, causesOf, explainStages, type StageWork, scaledCauses } from './bottleneck.js';
import { type CostModel, fitCosts, predict } from './cost-model.js';
import { type Sample, takeSample } from './sample.js';
import {
  type Candidate,
  type Comparison,
  choose,
  compare,
  confirm,
  type MeasuredRun,
  nodesIn,
  runsOf,
  search,
  secondsAt,
  speedOf,
  type Verdict,
} from './search.js';
import { grid, nameOf, optionsOf, type Setting, type SettingOptions } from './settings.js';

export interface TuneOptions
  extends Pick<LabelOptions, 'dim' | 'kHops' | 'sampleHops' | 'backend' | 'provider' | 'onNotice'> {
  readonly features: string;
  readonly knn: string;
  /** Default: the general model that comes with naan. */
  readonly model?: string | undefined;
  /** Seconds that the search may take, reading the graph included; the run that is under way then is finished. Default 60. */
  readonly budget?: number | undefined;
  /** Label the whole set with the best setting afterwards, to check the prediction. */
  readonly check?: boolean | undefined;
  /** Existing folder whose disk is measured; default: that of the features. */
  readonly diskFolder?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stages `read`, then `tune` in seconds of the budget; then those of `label` to check. */
  readonly onProgress?: ProgressListener | undefined;
}

/** A setting that was timed. */
interface Trial {
  readonly setting: Setting;
  /** The setting as options of `naan label` for the whole set. */
  readonly options: SettingOptions;
  readonly runs: number;
  /** Rounds beside the defaults that decided; 0 for settings that were timed once or twice and left. */
  readonly rounds: number;
  /** Speed as a multiple of the defaults' speed in the same round: the median. */
  readonly speed: number;
  /** The comparison by those rounds; absent for the defaults and for settings that were in none. */
  readonly comparison?: Comparison;
}

export interface TuneResult {
  readonly nodes: number;
  readonly dim: number;
  /** Nodes of the sample that all settings were timed on. */
  readonly sample: number;
  /** Trials of the rounds that decided come first, then the fastest. */
  readonly trials: readonly Trial[];
  /** The recommended setting, one of the trials: the defaults unless the verdict is `faster`. */
  readonly best: Trial;
  /** `faster`: the best setting than the defaults. `not faster`: nothing tried is. `undecided`: runs differ too much to tell. */
  readonly verdict: Verdict;
  /** The costs of the best setting. */
  readonly costs: CostModel;
  /** Seconds for the whole set without writing: by the best setting, and by the defaults. */
  readonly predicted: { readonly best: number; readonly defaults: number };
  readonly limits: Limits;
  /** Expected causes of the time of the whole set, by stage, with the best setting. */
  readonly stages: Readonly<Record<string, Causes>>;
  /** Rows that its tiles gathered on the sample, for each node. */
  readonly rowsGatheredPerNode: number;
  /** Seconds the features take to read, at least, where no cache holds them. */
  readonly coldReadSeconds: number;
  readonly check?: { readonly seconds: number; readonly stages: Readonly<Record<string, number>> };
  readonly runs: number;
  /** Seconds of the search. */
  readonly seconds: number;
}

const defaultBudget = 60;
const pilotNodes = 4096;
/** Enough shards of any size for every thread. */
const mostNodes = Math.min(2 ** 18, 32_768 * availableCores());
/** Share of the budget that a run may take, so that there are enough of them to judge by. */
const longestRun = 1 / 80;
/** Runs of the best setting and of the defaults on a smaller sample, which tell what does not grow with the set. */
const smallRuns = 2;

/** Throws what `label` throws for inputs that cannot be used, and CANCELLED after an abort. Writes nothing. */
export async function tune(options: TuneOptions): Promise<TuneResult> {
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  const { budget = defaultBudget, signal, onProgress, onNotice, kHops } = options;
  const model = await readModel(options.model ?? generalModel);
  const found = await findSource(options.features, options.dim);
  const { rowCount: nodes, dim } = shapeOf(found);
  const head = headOf(model);
  const hops = hopsFor(head, model, options);
  const reading = elapsed();
  const graph = await readKnn(options.knn, { nodeCount: nodes, columns: columnsOf(hops), onProgress });
  checkWidth(graph, head, hops, options.knn);
  const features = await inflate(found);
  const readSeconds = elapsed() - reading;
  // Lists of a sample name rows that replace those outside of it.
  const labelOptions = {
    model,
    kHops,
    sampleHops: options.sampleHops,
    ...(await resolveBackend(options, { head, rows: nodes })),
    signal,
    graphCheck: 'skip',
  } as const;

  const samples = new Map<number, Sample>();
  const timeRun = async (setting: Setting, size: number): Promise<MeasuredRun> => {
    const sample = samples.get(size) ?? (await takeSample(features, graph, size, signal));
    samples.set(size, sample);
    const observer = new StageWatch();
    const source = { features: { rows: sample.rows, dim }, knn: sample.graph };
    const { summary } = await label({ ...labelOptions, ...source, observer, ...optionsOf(setting, size) });
    const { total, stages } = summary.seconds;
    const work = Object.entries(stages).map(([stage, seconds]) => [stage, observer.work[stage] ?? { seconds }]);
    return { nodes: size, seconds: total, stages, work: Object.fromEntries(work) };
  };
  const time = async (setting: Setting, size: number): Promise<MeasuredRun | undefined> => {
    try {
      return await timeRun(setting, size);
    } catch (error) {
      // The pilot has shown that the inputs can be used, so it is the setting: a batch that no thread has memory for, say.
      if (!['BAD_USAGE', 'OUT_OF_MEMORY'].includes(asNaanError(error)?.code ?? '')) throw error;
      onNotice?.(`${nameOf(setting)}: not tried: ${asNaanError(error)?.message}`);
      return undefined;
    }
  };

  const settings = grid();
  const total = Math.ceil(budget);
  const from = Math.min(elapsed(), total);
  const tell = (done = elapsed()) =>
    onProgress?.({ stage: 'tune', done: Math.min(done, total), total, from, unit: 'seconds' });
  tell();
  // Shows how long runs take; a second one shows it better, as code that has just started is slow.
  let pilot = await timeRun(settings[0], Math.min(nodes, pilotNodes));
  tell();
  if (secondsAt(pilotNodes, pilot) < 2 * longestRun * budget)
    pilot = await timeRun(settings[0], Math.min(nodes, 2 * pilotNodes));
  const affordable = nodesIn(longestRun * budget, pilot);
  const size = Math.min(nodes, mostNodes, Math.max(pilotNodes, affordable));
  const small = Math.ceil(size / 4);
  const secondsEach = Math.min(0.4, budget / 150);
  const smallSeconds = size < nodes ? 2 * smallRuns * secondsAt(small, pilot) : 0;
  const candidates = await search({
    settings,
    elapsed,
    secondsEach: secondsAt(size, pilot),
    time: async (setting) => {
      tell();
      return time(setting, size);
    },
    // The probes of the machine need some of the time.
    deadline: budget - smallSeconds - 5 * secondsEach - 0.5,
  });

  const defaults = candidates.find(({ setting }) => setting === settings[0])!;
  const choice = choose(candidates, defaults);
  const trials = candidates.map((candidate): Trial => {
    const { setting, final } = candidate;
    const judged = candidate !== defaults && final.length > 0;
    return {
      setting,
      options: optionsOf(setting, nodes),
      runs: runsOf(candidate).length,
      rounds: final.length,
      speed: speedOf(candidate),
      ...(judged && { comparison: compare(candidate, defaults) }),
    };
  });
  const timings = new Map([defaults, choice.chosen].map((candidate) => [candidate, runsOf(candidate)]));
  for (let i = 0; i < smallRuns && size < nodes; i++) {
    for (const [{ setting }, runs] of timings) {
      // When other work has slowed the search, the prediction is made without these runs.
      if (elapsed() + secondsAt(small, pilot) > budget) break;
      tell();
      runs.push(await timeRun(setting, small));
    }
  }
  const secondsOfAll = (candidate: Candidate) => readSeconds + predict(fitCosts(timings.get(candidate)!), nodes);
  const { chosen, verdict } = confirm(choice, defaults, secondsOfAll);
  const best = trials[candidates.indexOf(chosen)];
  const limits = await measureLimits({
    threads: best.options.threads,
    dim,
    signal,
    secondsEach,
    folder: options.diskFolder ?? dirname(options.features),
  });
  const seconds = elapsed();
  tell(total);
  const { work } = runsOf(chosen).at(-1)!;
  const rowsGathered = Object.values(work).reduce((sum, { shared }) => sum + (shared?.rowsGathered ?? 0), 0);
  const costs = fitCosts(timings.get(chosen)!);
  const valueBytes = best.options.precision === 'bf16' ? 2 : 4;
  const partCosts = head.costs(model.config, { paddedDim: paddedDim(dim), valueBytes });
  const explained = explainStages(work, { nodes: size, rowBytes: valueBytes * dim, costs: partCosts }, limits);
  const stages = Object.entries(explained).map(([stage, causes]) => {
    const { fixed, perNode } = costs.stages[stage];
    return [stage, scaledCauses(causes, fixed + perNode * nodes)];
  });

  const whole = { features: options.features, dim: options.dim, knn: options.knn };
  const check = options.check ? await label({ ...labelOptions, ...whole, ...best.options, onProgress }) : undefined;
  return {
    nodes,
    dim,
    sample: size,
    trials,
    best,
    verdict,
    costs,
    limits,
    predicted: { best: secondsOfAll(chosen), defaults: secondsOfAll(defaults) },
    stages: { ...Object.fromEntries(stages), read: causesOf({ oneThread: readSeconds }) },
    rowsGatheredPerNode: rowsGathered / size,
    coldReadSeconds: (nodes * dim * 4) / ((limits.disk?.readGBps ?? Number.POSITIVE_INFINITY) * 1e9),
    ...(check && { check: { seconds: check.summary.seconds.total, stages: check.summary.seconds.stages } }),
    runs: trials.reduce((sum, { runs }) => sum + runs, 0),
    seconds,
  };
}

/** Reads the counters of a run between its stages. */
class StageWatch implements RunObserver {
  readonly work: Record<string, StageWork> = {};
  private run: WatchedRun | undefined;
  private before = { busySeconds: 0, rowsGathered: 0 };

  start(run: WatchedRun): void {
    this.run = run;
  }

  stageDone(stage: string, seconds: number): void {
    const total = (field: 'busySeconds' | 'rowsGathered') => this.run?.counters.total(field) ?? 0;
    const now = { busySeconds: total('busySeconds'), rowsGathered: total('rowsGathered') };
    const { busySeconds, rowsGathered } = this.before;
    const shared = { busySeconds: now.busySeconds - busySeconds, rowsGathered: now.rowsGathered - rowsGathered };
    this.work[stage] = { seconds, shared };
    this.before = now;
  }

  backend(): void {}
  shards(): void {}
}
