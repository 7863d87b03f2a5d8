/**
 * Calibration of the partition and its threshold, from edges scored by networks that saw neither end's identity: every partition is made at
 * every threshold and compared with the truth, and one partition and a threshold are chosen.
 *
 * The choice that another set would lead to is estimated from resamples of the identities (bootstrap, Efron 1979), in some of which the largest
 * is not, or twice. The threshold is the median of those that are best by BCubed F in the resamples (bagging, Breiman 1996),
 * where a threshold counts with those beside it: another set has its best one a little elsewhere, so the edge of a cliff is no
 * good place. Pairwise F does not choose thresholds: a single join of two halves of a large identity can decide it, and the
 * next set has no such identity. A partition is preferred to one before it in the list if it is better by both measures in
 * most of the resamples. `linkage` is tried with rooms alone: with every absent pair counted fully it is seldom better, and where
 * few identities happen to say so, it cuts the large ones of the next set apart.
 */

import { setImmediate } from 'node:timers/promises';
import type { AbsentPairs } from '../cluster/linkage.js';
import { labelsAt, type Partition, partitions } from '../cluster/partition.js';
import type { Differences } from '../cluster/truth.js';
import { partitionDefaults } from '../defaults.js';
import { NaanError } from '../errors.js';
import { IdentityAgreement, type IdentitySums } from '../evaluation/identity-sums.js';
import type { PrecisionRecall } from '../evaluation/precision-recall.js';
import type { Executor } from '../execution/executor.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';
import { RandomStream } from '../graph/random.js';
import { sharedInts } from '../memory/shared-arrays.js';

/** The quality of a partition at the threshold chosen for it. */
interface Calibrated {
  readonly threshold: number;
  readonly bcubed: PrecisionRecall;
  readonly pairwise: PrecisionRecall;
  /** Standard deviation of both F over resamples of the identities. */
  readonly deviation: { readonly bcubed: number; readonly pairwise: number };
}

export interface Calibration {
  /** The partition to label with. */
  readonly partition: Partition;
  /** Every partition that was tried. */
  readonly partitions: Readonly<Record<Partition, Calibrated>>;
  /** The weight of absent pairs in `linkage`. */
  readonly absentPairs: AbsentPairs;
}

type CalibrationEdges = CandidateEdges & { readonly scores: Float32Array };

const thresholds = Array.from({ length: 49 }, (_, i) => (i + 1) / 50);
const resampleCount = 100;
/** Purpose of a random stream. */
const resamplePurpose = 86;

/** The sums that identities add to agreement, for each partition at each threshold. */
export interface Cuts {
  readonly agreement: IdentityAgreement;
  /** The weight of absent pairs in `linkage`. */
  readonly absentPairs: AbsentPairs;
  /** [partitions × thresholds] */
  readonly sums: readonly (readonly IdentitySums[])[];
}

/** Most bytes that `calibrate` takes beside edges and scores and what a partition takes. */
export function calibrationBytes(nodes: number, identities: number): number {
  const cuts = partitions.length * thresholds.length;
  // Sums of each cut, how often an identity is in each resample; truth, its rows, labels and clusters, and rows known to be others.
  return identities * (8 * 4 * cuts + 2 * resampleCount) + 44 * nodes;
}

/**
 * The choice for edges and the identities of their nodes, −1 where not known; with `differences`, only those identities are different that
 * they say are. Throws CANCELLED after an abort.
 */
export async function calibrate(
  edges: CalibrationEdges,
  truth: Int32Array,
  options: Omit<CutOptions, 'absentPairs'> = {},
): Promise<Calibration> {
  return choose(await cutEverywhere(edges, truth, options));
}

interface CutOptions {
  readonly signal?: AbortSignal | undefined;
  readonly differences?: Differences | undefined;
  readonly absentPairs?: AbsentPairs | undefined;
  /** Threads that take `CutsTask`; by default all is done on the calling thread. */
  readonly executor?: Executor | undefined;
}

/** What threads read to find cuts. Edges and scores are in shared memory; of differences a thread reads the fields alone. */
export interface CutsJob {
  readonly edges: CalibrationEdges;
  readonly truth: Int32Array;
  readonly differences?: Differences | undefined;
  readonly absentPairs: AbsentPairs;
  /** [1]: not 0 when everything is to end. */
  readonly cancel: Int32Array;
}

/** One partition at thresholds first .. end−1. */
export interface CutsTask {
  readonly kind: 'cuts';
  readonly partition: Partition;
  readonly first: number;
  readonly end: number;
}

/** Parts that the thresholds of a partition are cut into, the last partition first, as it takes longest. */
const partsOf: Readonly<Record<Partition, number>> = { propagation: 4, linkage: 1, threshold: 2 };
/** Most tasks of `cutEverywhere` at once. */
const mostTasks = Object.values(partsOf).reduce((sum, parts) => sum + parts, 0);

/** Most bytes that more threads than one take for cuts beside those that the first takes: labels, forests, and sums of a part. */
export function cutsBytes(nodes: number, identities: number, threads: number): number {
  const others = Math.min(threads, mostTasks) - 1;
  return others * (120 * nodes + 32 * thresholds.length * identities);
}

/** All partitions at all thresholds. Throws CANCELLED after an abort, for which it looks up between thresholds. */
export async function cutEverywhere(
  edges: CalibrationEdges,
  truth: Int32Array,
  { signal, differences, absentPairs = 'room', executor }: CutOptions = {},
): Promise<Cuts> {
  const job: CutsJob = { edges, truth: sharedInts(truth.length), differences, absentPairs, cancel: sharedInts(1) };
  job.truth.set(truth);
  const sums = partitions.map(() => new Array<IdentitySums>(thresholds.length));
  const tasks = Object.entries(partsOf).flatMap(([partition, parts]) =>
    Array.from({ length: parts }, (_, part): CutsTask => {
      const [first, end] = [part, part + 1].map((at) => Math.floor((at * thresholds.length) / parts));
      return { kind: 'cuts', partition: partition as Partition, first, end };
    }),
  );
  const onDone = ({ partition, first }: CutsTask, found: readonly IdentitySums[]) => {
    for (const [i, one] of found.entries()) sums[partitions.indexOf(partition)][first + i] = one;
  };
  const stop = () => void Atomics.store(job.cancel, 0, 1);
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  try {
    if (executor) {
      const describe = ({ partition }: CutsTask) => `cuts of partition ${partition}`;
      await executor.runAll(tasks, describe, { context: job, signal, onDone });
    } else for (const task of tasks) onDone(task, await sumsOfCuts(job, task));
  } finally {
    signal?.removeEventListener('abort', stop);
  }
  return { agreement: new IdentityAgreement(truth, differences), absentPairs, sums };
}

/** The sums at the thresholds of a task, on the calling thread. Throws CANCELLED. */
export async function sumsOfCuts(job: CutsJob, { partition, first, end }: CutsTask): Promise<IdentitySums[]> {
  const { edges, truth, differences, absentPairs, cancel } = job;
  const agreement = new IdentityAgreement(truth, differences);
  const sums: IdentitySums[] = [];
  const options = { ...partitionDefaults, absentPairs };
  for (const labels of labelsAt(edges, partition, options, thresholds.slice(first, end))) {
    sums.push(agreement.sums(labels));
    await setImmediate();
    if (Atomics.load(cancel, 0) !== 0) throw new NaanError('CANCELLED', 'cancelled');
  }
  return sums;
}

/** The choice by these identities, given by their numbers, some perhaps more than once; by default each once. */
export function choose({ agreement, absentPairs, sums }: Cuts, identities?: Int32Array): Calibration {
  const { identityCount } = agreement;
  const all = identities ?? Int32Array.from({ length: identityCount }, (_, y) => y);
  const resamples = Array.from({ length: resampleCount }, (_, r) => {
    const random = new RandomStream(1, resamplePurpose, r);
    return timesOf(
      all.map(() => all[random.below(all.length)]),
      identityCount,
    );
  });
  const once = timesOf(all, identityCount);
  const judged = sums.map((ofPartition) =>
    ofPartition.map((cut) => {
      const { bcubed, pairwise } = agreement.agreement(cut, once);
      const resampled = resamples.map((times) => agreement.agreement(cut, times));
      const [b, p] = [resampled.map((r) => r.bcubed.f), resampled.map((r) => r.pairwise.f)];
      return { bcubed, pairwise, b, p };
    }),
  );
  /** The place of the threshold of each partition. */
  const places = judged.map((curve) => {
    const bests = resamples.map((_, r) => middleOfBest(smoothed(curve.map(({ b }) => b[r]))));
    return bests.sort((a, b) => a - b)[resampleCount >> 1];
  });
  const at = (partition: number) => judged[partition][places[partition]];
  const chosen = partitions.reduce<number>((a, _, b) => {
    const better = at(b).b.filter((f, r) => f > at(a).b[r] && at(b).p[r] > at(a).p[r]).length;
    return better > resampleCount / 2 ? b : a;
  }, 0);

  const calibratedAt = (partition: number): Calibrated => {
    const { bcubed, pairwise, b, p } = at(partition);
    const threshold = thresholds[places[partition]];
    return { threshold, bcubed, pairwise, deviation: { bcubed: deviation(b), pairwise: deviation(p) } };
  };
  return {
    partition: partitions[chosen],
    partitions: Object.fromEntries(partitions.map((name, i) => [name, calibratedAt(i)])) as Record<
      Partition,
      Calibrated
    >,
    absentPairs,
  };
}

function timesOf(identities: Int32Array, identityCount: number): Uint16Array {
  const times = new Uint16Array(identityCount);
  for (const identity of identities) times[identity]++;
  return times;
}

/** Each value with the two on either side of it. */
function smoothed(values: readonly number[]): number[] {
  return values.map((_, i) => mean(values.slice(Math.max(0, i - 2), i + 3)));
}

/** The place of the highest value; of several as high, the one in their middle. */
function middleOfBest(values: readonly number[]): number {
  const most = Math.max(...values);
  const places = values.flatMap((value, place) => (value === most ? [place] : []));
  return places[places.length >> 1];
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function deviation(values: readonly number[]): number {
  const centre = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - centre) ** 2)));
}
