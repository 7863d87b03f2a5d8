/**
 * The best of many settings in bounded time, by successive halving (Jamieson & Talwalkar 2016): every setting once on a
 * small sample, the best of them on a larger one, the best few of these on the largest, in turn while time is left.
 * Speeds are ratios to the defaults on the same sample, which are timed again and again in between, as other work on the
 * machine comes and goes.
 */
import type { StageWork } from './bottleneck.js';
import { median, type Timing } from './cost-model.js';
import { changes, type Setting } from './settings.js';

export interface Run extends Timing {
  readonly work: Readonly<Record<string, StageWork>>;
}

export interface Candidate {
  readonly setting: Setting;
  readonly runs: readonly Run[];
}

export interface Search {
  /** The defaults first; the more likely ones before others, as time may not suffice for all. */
  readonly settings: readonly Setting[];
  /** Sizes of the samples, rising, three at most. */
  readonly sizes: readonly number[];
  /** No run is begun that should end later, by `elapsed`. One of the defaults is made in any case. */
  readonly deadline: number;
  readonly elapsed: () => number;
  /** An earlier run of the defaults, by which the time of others is estimated. */
  readonly pilot: Run;
  /** Undefined for a setting that the engine refuses. */
  readonly time: (setting: Setting, size: number) => Promise<Run | undefined>;
  readonly onRun?: (done: number, expected: number) => void;
}

/** Shares of the time after which a rung ends, and how many settings come to it besides the defaults. */
const rungs = [
  { until: 0.5, settings: Number.POSITIVE_INFINITY },
  { until: 0.7, settings: 6 },
  { until: 1, settings: 3 },
] as const;
/** Settings timed between two runs of the defaults. */
const between = 5;
/** Speeds that differ by less are the same. */
const noise = 0.02;

/** Settings that were timed, the fastest first. */
export async function search({ settings, sizes, deadline, elapsed, pilot, time, onRun }: Search): Promise<Candidate[]> {
  const candidates = settings.map((setting) => ({ setting, runs: [] as Run[] }));
  const [defaults] = candidates;
  let done = 0;

  /** False when no time is left before `until`. */
  const run = async (candidate: (typeof candidates)[number], size: number, until: number): Promise<boolean> => {
    const expected = secondsAt(size, candidate.runs.at(-1) ?? defaults.runs.at(-1) ?? pilot);
    if (defaults.runs.length > 0 && elapsed() + expected > until) return false;
    const timed = await time(candidate.setting, size);
    if (timed) candidate.runs.push(timed);
    done++;
    onRun?.(done, done + Math.max(0, Math.floor((deadline - elapsed()) / expected)));
    return true;
  };

  let standing = candidates.slice();
  for (const [rung, size] of sizes.entries()) {
    const until = rungs[rung].until * deadline;
    standing = standing.slice(0, 1 + rungs[rung].settings);
    for (const [i, candidate] of standing.entries()) {
      if (i > 1 && i % between === 1 && !(await run(defaults, size, until))) break;
      if (!(await run(candidate, size, until))) break;
    }
    standing = standing.filter(({ runs }) => runs.some(({ nodes }) => nodes === size));
    standing = [defaults, ...ranked(standing, defaults).filter((candidate) => candidate !== defaults)];
  }
  // The rest goes to the last few, in turn, and to the size that separates the fixed costs from those of a node.
  const largest = sizes[sizes.length - 1];
  const finalists = standing.filter(({ runs }) => runs.some(({ nodes }) => nodes === largest));
  for (let left = finalists.length > 0; left; ) {
    for (const candidate of finalists) left &&= await run(candidate, largest, deadline);
    left &&= await run(ranked(finalists, defaults)[0], sizes[0], deadline);
  }
  return ranked(
    candidates.filter(({ runs }) => runs.length > 0),
    defaults,
  );
}

/**
 * The recommended setting: the fastest of those timed on the largest sample that any reached; of those as fast within noise, the one
 * nearest to the defaults.
 */
export function choose(candidates: readonly Candidate[], defaults: Candidate): Candidate {
  const reached = Math.max(...candidates.map(largestOf));
  const finalists = candidates.filter((candidate) => largestOf(candidate) === reached);
  const fastest = Math.max(...finalists.map((candidate) => speedOf(candidate, defaults)));
  const good = finalists.filter((candidate) => speedOf(candidate, defaults) >= fastest * (1 - noise));
  return good.reduce((a, b) => (changes(b.setting) < changes(a.setting) ? b : a));
}

/** Nodes of the largest sample a setting was timed on. */
export function largestOf({ runs }: Candidate): number {
  return Math.max(...runs.map(({ nodes }) => nodes));
}

/** Times as fast as the defaults, on the largest sample that both were timed on; 0 without one. */
export function speedOf({ runs }: Candidate, defaults: Candidate): number {
  const sizes = runs.map(({ nodes }) => nodes).filter((size) => defaults.runs.some(({ nodes }) => nodes === size));
  if (sizes.length === 0) return 0;
  const size = Math.max(...sizes);
  const cost = (all: readonly Run[]) => median(all.filter(({ nodes }) => nodes === size).map(sharedSeconds));
  return cost(defaults.runs) / cost(runs);
}

/** Estimated seconds of a run of a sample of this size, from a run of another: a constant to start, and the rest in proportion. */
export function secondsAt(size: number, run: Run): number {
  const shared = sharedSeconds(run);
  return run.seconds - shared + (shared * size) / run.nodes;
}

/** Nodes of a sample that a run of this many seconds is enough for, by a run of another sample. */
export function nodesIn(seconds: number, run: Run): number {
  const shared = sharedSeconds(run);
  return Math.max(0, Math.floor(((seconds - run.seconds + shared) * run.nodes) / shared));
}

/** The seconds of the stages that all threads work on: the others are the same by any setting, and the first waits for threads to start. */
function sharedSeconds({ work }: Run): number {
  return Object.values(work).reduce((sum, { seconds, shared }) => sum + (shared ? seconds : 0), 0);
}

function ranked<C extends Candidate>(candidates: readonly C[], defaults: Candidate): C[] {
  const speeds = new Map(candidates.map((candidate) => [candidate, speedOf(candidate, defaults)]));
  return candidates.toSorted((a, b) => speeds.get(b)! - speeds.get(a)!);
}
