/**
 * The best of many settings in bounded time, or the word that none is shown to be better.
 *
 * All are timed on one sample, in rounds: the defaults, then some others. A round is short, so that other work on the machine
 * comes and goes between rounds rather than within one, and a setting is judged by its ratio to the defaults of the same round.
 * Every setting is timed once, the most promising again, and the best few meet the defaults in round after round, forwards and
 * backwards in turn. These last rounds alone decide, by a sign test: a setting is faster when it was so in more of them
 * than chance would explain.
 */
import type { StageWork } from './bottleneck.js';
import { median, type Timing } from './cost-model.js';
import { changes, type Setting } from './settings.js';

export interface MeasuredRun extends Timing {
  readonly work: Readonly<Record<string, StageWork>>;
}

/** A run of a setting, and what the defaults took in the same round. */
interface TimedRun {
  readonly run: MeasuredRun;
  readonly round: number;
  /** Times as fast as the defaults. */
  readonly speed: number;
}

export interface Candidate {
  readonly setting: Setting;
  /** Rounds before the last ones: they say which settings are promising. */
  readonly screening: readonly TimedRun[];
  /** The last rounds, of few settings: they decide. */
  readonly final: readonly TimedRun[];
}

export interface Search {
  /** The defaults first; the more likely ones before others, as time may not suffice for all. */
  readonly settings: readonly Setting[];
  /** No run is begun that should end later, by `elapsed`. One of the defaults is made in any case. */
  readonly deadline: number;
  readonly elapsed: () => number;
  /** Seconds that a run is expected to take. */
  readonly secondsEach: number;
  /** A run on the sample; undefined for a setting that the engine refuses. */
  readonly time: (setting: Setting) => Promise<MeasuredRun | undefined>;
}

/** Shares of the time after which a rung of screening ends, and how many settings come to it. */
const rungs = [
  { until: 0.4, settings: Number.POSITIVE_INFINITY },
  { until: 0.5, settings: 8 },
] as const;
const finalists = 3;
/** Settings beside the defaults in a round of screening. */
const roundSize = 4;
/** Gains below this are not worth a setting of one's own; below `worthOfPrecision`, not worth bf16 in place of f32. */
const worth = 0.02;
const worthOfPrecision = 0.1;
/** The greatest probability, were each round a toss of a coin, of a count of rounds that counts as shown. Seven of seven are enough. */
const significance = 0.01;

/** Settings that were timed: those of the last rounds first, then by speed. The defaults are among them. */
export async function search({ settings, deadline, elapsed, secondsEach, time }: Search): Promise<Candidate[]> {
  const candidates = settings.map((setting) => ({ setting, screening: [] as TimedRun[], final: [] as TimedRun[] }));
  type Timed = (typeof candidates)[number];
  const [defaults] = candidates;
  const refused = new Set<Timed>();
  let longest = secondsEach;
  let rounds = 0;

  /** Times the defaults and these in turn, in this order or backwards. False when no time is left for it before `until`. */
  const round = async (others: readonly Timed[], kind: 'screening' | 'final', until: number): Promise<boolean> => {
    const order = [defaults, ...others];
    if (rounds > 0 && elapsed() + order.length * longest > until) return false;
    if (rounds % 2 === 1) order.reverse();
    const runs: [Timed, MeasuredRun][] = [];
    for (const candidate of order) {
      // The first round is made whatever it takes, of the defaults at least.
      if (rounds === 0 && candidate !== defaults && elapsed() + longest > until) break;
      const before = elapsed();
      const run = await time(candidate.setting);
      longest = 0.5 * longest + 0.5 * (elapsed() - before);
      if (run) runs.push([candidate, run]);
      else refused.add(candidate);
    }
    const beside = runs.find(([candidate]) => candidate === defaults);
    for (const [candidate, run] of beside ? runs : []) {
      candidate[kind].push({ run, round: rounds, speed: sharedSeconds(beside![1]) / sharedSeconds(run) });
    }
    rounds++;
    return true;
  };

  const byScreening = (some: readonly Timed[]) =>
    some.filter(({ screening }) => screening.length > 0).toSorted((a, b) => speedOf(b) - speedOf(a));
  const f32 = candidates.slice(1).filter(({ setting }) => setting.precision !== 'bf16');
  let standing = f32;
  for (const rung of rungs) {
    const some = standing.slice(0, rung.settings);
    let left = true;
    for (let i = 0; left && i < some.length; i += roundSize) {
      left = await round(some.slice(i, i + roundSize), 'screening', rung.until * deadline);
    }
    standing = byScreening(standing).filter((candidate) => !refused.has(candidate));
  }

  // Rows of half the size are tried with the values that look best.
  const twin = (of: Timed) =>
    candidates.find(({ setting }) => setting.precision === 'bf16' && sameBut(setting, of.setting, 'precision'));
  let open = standing.slice(0, finalists);
  const half = twin(open[0] ?? defaults);
  if (half && open.length > 0) open = [...open, half];
  const entered = open;
  while (open.length > 0 && (await round(open, 'final', deadline))) {
    const known = entered.filter((candidate) => !refused.has(candidate));
    if (isDecided(known, defaults)) break;
    open = known.filter((candidate) => compare(candidate, defaults) !== 'not faster');
  }
  return candidates
    .filter(({ screening, final }) => screening.length + final.length > 0)
    .toSorted((a, b) => Number(b.final.length > 0) - Number(a.final.length > 0) || speedOf(b) - speedOf(a));
}

export type Comparison = 'faster' | 'not faster' | 'undecided';

/** The comparison of `a` with `b` over the last rounds in which both were timed. */
export function compare(a: Candidate, b: Candidate): Comparison {
  const gain = 1 + (a.setting.precision === 'bf16' && b.setting.precision !== 'bf16' ? worthOfPrecision : worth);
  const other = new Map(b.final.map(({ round, speed }) => [round, speed]));
  const pairs = a.final.filter(({ round }) => other.has(round));
  const wins = pairs.filter(({ round, speed }) => speed > gain * other.get(round)!).length;
  if (tail(pairs.length, wins) <= significance) return 'faster';
  return tail(pairs.length, pairs.length - wins) <= significance ? 'not faster' : 'undecided';
}

/** The probability of so many heads or more in so many tosses of a coin. */
function tail(tosses: number, heads: number): number {
  let term = 2 ** -tosses;
  let sum = 0;
  for (let k = tosses; k >= heads; k--) {
    sum += term;
    term *= k / (tosses - k + 1);
  }
  return sum;
}

/** `faster`: the chosen setting than the defaults. Else they are chosen: nothing is faster, or not for the whole set, or it could not be told. */
export type Verdict = Comparison | 'faster on the sample alone';

export interface Choice {
  readonly chosen: Candidate;
  readonly verdict: Verdict;
}

/**
 * The recommended setting: of the settings that are faster than the defaults, the fastest, or one that it is not shown to be faster than:
 * f32 before bf16, then the one nearest to the defaults. Without any, the defaults.
 */
export function choose(candidates: readonly Candidate[], defaults: Candidate): Choice {
  const others = candidates.filter((candidate) => candidate !== defaults && candidate.final.length > 0);
  const faster = others.filter((candidate) => compare(candidate, defaults) === 'faster');
  if (faster.length === 0) {
    const slow = others.length > 0 && others.every((candidate) => compare(candidate, defaults) === 'not faster');
    return { chosen: defaults, verdict: slow ? 'not faster' : 'undecided' };
  }
  const fastest = faster.reduce((a, b) => (speedOf(b) > speedOf(a) ? b : a));
  const good = faster.filter((candidate) => candidate === fastest || compare(fastest, candidate) !== 'faster');
  const distance = ({ setting }: Candidate) => changes(setting) + (setting.precision === 'bf16' ? 100 : 0);
  return { chosen: good.reduce((a, b) => (distance(b) < distance(a) ? b : a)), verdict: 'faster' };
}

/** The choice once it is foretold what the whole set takes with a setting: one that does not gain there gives way to the defaults. */
export function confirm(choice: Choice, defaults: Candidate, secondsOfAll: (candidate: Candidate) => number): Choice {
  if (choice.verdict !== 'faster' || secondsOfAll(choice.chosen) < secondsOfAll(defaults)) return choice;
  return { chosen: defaults, verdict: 'faster on the sample alone' };
}

/** True when more rounds would change nothing: what is faster than the defaults is known, and the fastest of these. */
function isDecided(entered: readonly Candidate[], defaults: Candidate): boolean {
  if (entered.some((candidate) => compare(candidate, defaults) === 'undecided')) return false;
  const faster = entered.filter((candidate) => compare(candidate, defaults) === 'faster');
  if (faster.length < 2) return true;
  const fastest = faster.reduce((a, b) => (speedOf(b) > speedOf(a) ? b : a));
  return faster.every((candidate) => candidate === fastest || compare(fastest, candidate) !== 'undecided');
}

/** Times as fast as the defaults: the median of the last rounds, or of the others where it was not in these. */
export function speedOf({ screening, final }: Candidate): number {
  return median((final.length > 0 ? final : screening).map(({ speed }) => speed));
}

/** All runs of a setting. */
export function runsOf({ screening, final }: Candidate): MeasuredRun[] {
  return [...screening, ...final].map(({ run }) => run);
}

/** Estimated seconds of a run of a sample of this size, from a run of another: a constant to start, and the rest in proportion. */
export function secondsAt(size: number, run: MeasuredRun): number {
  const shared = sharedSeconds(run);
  return run.seconds - shared + (shared * size) / run.nodes;
}

/** Nodes of a sample that a run of this many seconds is enough for, by a run of another sample. */
export function nodesIn(seconds: number, run: MeasuredRun): number {
  const shared = sharedSeconds(run);
  return Math.max(0, Math.floor(((seconds - run.seconds + shared) * run.nodes) / shared));
}

/** The seconds of the stages that all threads work on: the others are the same by any setting, and the first waits for threads to start. */
function sharedSeconds({ work }: MeasuredRun): number {
  return Object.values(work).reduce((sum, { seconds, shared }) => sum + (shared ? seconds : 0), 0);
}

function sameBut(a: Setting, b: Setting, name: keyof Setting): boolean {
  return (Object.keys(a) as (keyof Setting)[]).every((key) => key === name || a[key] === b[key]);
}
