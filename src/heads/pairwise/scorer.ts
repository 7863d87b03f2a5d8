/**
 * The `pairwise` head: scores candidate edges in rounds. The first knows the kNN graph, each later one also the scores of
 * the round before; every round has a small network of its own.
 *
 * A job lies in memory that threads share. Its steps, each over ranges of nodes or edges in any order by any number of
 * threads, with a barrier after each:
 *
 *   summariseLists                              nodes   once the cosines are there
 *   score(0)                                    edges
 *   for each later round r: summariseScores     nodes   of the round before
 *                           score(r)            edges
 *
 * Scores are the same to the bit for any ranges, any threads, and any numbering of nodes inside the engine.
 */
import type { PairwiseBackend, TileCapacity } from '../../backends/backend.js';
import { startBackend } from '../../backends/start.js';
import type { CandidateEdges } from '../../graph/candidate-edges.js';
import { reverseEdges } from '../../graph/reverse-edges.js';
import type { PairwiseModel } from '../../model/model.js';
import { featureCount, structuralFeatureCount } from '../../model/pairwise.js';
import { roundNetworks } from '../../model/round-network.js';
import { scoreOf } from './edge-score.js';
import { allocatePairwiseJob, type PairwiseJob } from './job.js';
import type { NeighbourLists } from './neighbour-lists.js';
import { quantiseScore, ScoreFeatures, summariseScores } from './score-features.js';
import { StructuralFeatures, summariseLists } from './structural-features.js';

/** Edges whose features are in local memory at a time: with the layers they fit in a second-level cache. */
export const edgesAtOnce = 1024;

const noScores = new Float32Array(0);

/** One thread's features of edges: those of the graph from its own tables or, after round 0, from the job. */
export class EdgeFeatures {
  private readonly structural: StructuralFeatures;
  private readonly scored: ScoreFeatures;
  private readonly local = new Float32Array(edgesAtOnce * structuralFeatureCount);

  constructor(
    private readonly job: PairwiseJob,
    private readonly k: number,
  ) {
    const { lists, edges, reverse, sampleHops, listSummaries, scoreSummaries } = job;
    this.structural = new StructuralFeatures(lists, edges, listSummaries, k, sampleHops >= k ? reverse : undefined);
    this.scored = new ScoreFeatures(edges, reverse, scoreSummaries);
  }

  summariseLists(start: number, end: number): void {
    summariseLists(this.job.lists, this.k, start, end, this.job.listSummaries);
  }

  /** `scores` [E]: of a whole round. */
  summariseScores(scores: Float32Array, start: number, end: number): void {
    const { edges, reverse, scoreSummaries } = this.job;
    summariseScores(edges, reverse, scores, start, end, scoreSummaries);
  }

  /**
   * Features of edges ids[0..count), rising, at most `edgesAtOnce`, → out [edges × featureCount(round)].
   * `previous` [E]: scores of the round before.
   */
  write(round: number, ids: Int32Array, count: number, previous: Float32Array, out: Float32Array): void {
    if (round > 0) {
      this.read(round, ids, count, previous, out);
      return;
    }
    this.structural.write(ids, count, out);
    this.job.structure.scatter(out, ids, count);
  }

  /** Structural features of edges, rising, at most `edgesAtOnce`, into the job. */
  writeStructure(edges: Int32Array): void {
    this.write(0, edges, edges.length, noScores, this.local);
  }

  /** Features of edges ids[0..count), rising, at most `edgesAtOnce`, whose structural ones are in the job, → out. */
  read(round: number, ids: Int32Array, count: number, previous: Float32Array, out: Float32Array): void {
    const { local } = this;
    const { structure } = this.job;
    if (round === 0) {
      structure.gather(ids, count, out);
      return;
    }
    const stride = featureCount(round);
    structure.gather(ids, count, local);
    for (let i = 0; i < count; i++) {
      for (let f = 0; f < structuralFeatureCount; f++) out[i * stride + f] = local[i * structuralFeatureCount + f];
    }
    this.scored.write(ids, count, previous, out, stride, structuralFeatureCount);
  }
}

/** Tiles that fit in a second-level cache with what a network makes of them. */
export const cachedTile: TileCapacity = { nodes: 0, rows: 0, width: 0, edges: edgesAtOnce };

/** One thread's scores of the edges of a job. */
export class PairwiseScorer {
  private readonly features: EdgeFeatures;
  /** Edges of a tile. */
  private readonly ids: Int32Array;

  constructor(
    private readonly model: PairwiseModel,
    job: PairwiseJob,
    private readonly backend: PairwiseBackend,
  ) {
    this.features = new EdgeFeatures(job, model.config.k);
    this.ids = new Int32Array(backend.tile.logits.length);
  }

  summariseLists(start: number, end: number): void {
    this.features.summariseLists(start, end);
  }

  summariseScores(scores: Float32Array, start: number, end: number): void {
    this.features.summariseScores(scores, start, end);
  }

  /**
   * Scores edges first .. until−1 of a round into `scores` [E]: the probability that both ends are one identity.
   * `previous` [E]: scores of the whole round before, another array; not read in round 0. `due` [E]: 0 for edges that are left out,
   * 1 for those that are scored, 2 for those whose structural features are also computed first; default: all are scored.
   */
  async score(
    round: number,
    first: number,
    until: number,
    previous: Float32Array,
    scores: Float32Array,
    due?: Uint8Array,
  ): Promise<void> {
    const { backend, features, ids } = this;
    const { guard, rounds } = this.model.config;
    const inputs = featureCount(round);
    const last = round === rounds - 1;
    for (let next = first; next < until; ) {
      let count = 0;
      for (; next < until && count < ids.length; next++) if (due?.[next] !== 0) ids[count++] = next;
      if (count === 0) return;
      const { tile } = backend;
      for (let start = 0; start < count; start += edgesAtOnce) {
        const some = ids.subarray(start, Math.min(start + edgesAtOnce, count));
        if (due && round > 0) features.writeStructure(some.filter((e) => due[e] === 2));
        features.write(round, some, some.length, previous, tile.features.subarray(start * inputs));
      }
      await backend.run(`network${round}`, count);
      for (let i = 0; i < count; i++) {
        // The first feature is the cosine.
        const score = scoreOf(tile.logits[i], tile.features[i * inputs], guard);
        scores[ids[i]] = last ? score : quantiseScore(score);
      }
    }
  }
}

/** Scores [E] of all candidate edges, on the calling thread. Throws BAD_SHAPE when lists are too short for the model. */
export async function scorePairwise(
  model: PairwiseModel,
  lists: NeighbourLists,
  edges: CandidateEdges,
): Promise<Float32Array> {
  const job = allocatePairwiseJob(lists, edges, reverseEdges(edges), model.config.k);
  const backend = await startBackend('native', roundNetworks(model), cachedTile);
  const scorer = new PairwiseScorer(model, job, backend);
  const edgeCount = edges.targets.length;
  scorer.summariseLists(0, edges.nodeCount);
  let previous = new Float32Array(edgeCount);
  let scores = new Float32Array(edgeCount);
  for (let round = 0; round < model.config.rounds; round++) {
    [previous, scores] = [scores, previous];
    if (round > 0) scorer.summariseScores(previous, 0, edges.nodeCount);
    await scorer.score(round, 0, edgeCount, previous, scores);
  }
  await backend.release();
  return scores;
}
