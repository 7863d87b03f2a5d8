/**
 * Scores after a change of the graph, equal to the bit to those of a run over all of it. How far a change reaches:
 *
 *   round 0   reads the lists of both ends, and of the first neighbours of one end whether they list the other: edges at nodes
 *             whose list has changed, and edges {a, b} where a neighbour of b lists a now and did not, or the other way about
 *   round r   reads that and the scores of the round before at both ends: edges at the ends of edges whose score changed there,
 *             or that came or went
 *
 * A score that comes out as it was carries nothing on. A change reaches many times more edges in each round, and some of the edges take longer for
 * each than all of them do: where many lists have changed, every round scores all edges.
 */
import type { KnownScores, OpenRun, Rescore } from '../../engine/known-scores.js';
import { listedInOne } from '../../graph/edges-after.js';
import { pathHops } from './structural-features.js';

/**
 * The share of lists that have changed from which on all edges are scored, by the rounds of the model: where both ways took equally long, of 100,000
 * rows of `naan generate`, when candidate edges were still found anew.
 */
const manyLists = [1 / 4, 1 / 16, 1 / 32];

export const rescore: Rescore = async (run, known) => {
  const { job, only, columns, stages } = run;
  const { nodeCount, offsets, order } = job;
  const targets = job.targets!;
  const scorings = stages.filter(({ name }) => name === 'score');
  const stageOf = (name: string, round = 0) => stages.find((one) => one.name === name && one.round === round)!;
  if (known.changed.length > nodeCount * (manyLists[scorings.length - 1] ?? manyLists[2])) return scoreAll(run, known);

  /** Marks of the nodes whose edges are due, of the ends of these, and of those whose cosines are there [n]. */
  const touched = new Uint8Array(nodeCount);
  const ends = new Uint8Array(nodeCount);
  const compared = new Uint8Array(nodeCount);
  /** Edges whose structural features are there [E]. */
  const structured = new Uint8Array(targets.length);
  /** The key of each edge whose structural features may differ. */
  const restructured = restructuredEdges(run, known);
  const unsettled = Int32Array.from(known.unsettled, (node) => (job.positions ? job.positions[node] : node));
  await run.run(stageOf('load'));

  const rounds: Float32Array[] = [];
  let scored = 0;
  let due: number[] = [];
  for (const [round, stage] of scorings.entries()) {
    const scores = columns[stage.columns[0]].values;
    const before = known.rounds[round];
    for (const e of due) only.edges[e] = 0;
    due = [];
    const keys: number[] = [];
    ends.fill(0);
    const add = (e: number, node: number) => {
      if (only.edges[e] > 0) return;
      due.push(e);
      keys.push(node);
      only.edges[e] = 2 - structured[e];
      structured[e] = 1;
      ends[node] = 1;
      ends[targets[e]] = 1;
    };
    for (const [e, node] of restructured) add(e, node);
    if (round > 0) {
      for (let node = 0; node < nodeCount; node++) {
        const own = touched[node] === 1;
        for (let e = offsets[node]; e < offsets[node + 1]; e++) if (own || touched[targets[e]] === 1) add(e, node);
      }
    }
    scored += due.length;
    await run.findReverse(ends);
    for (let node = 0; node < nodeCount; node++) {
      only.nodes[node] = ends[node] & (1 - compared[node]);
      compared[node] |= ends[node];
    }
    await run.run(stageOf('similarities'));
    only.nodes.set(ends);
    if (round > 0) await run.run(stageOf('summarise', round));
    eachKnown(run, known, (i, e) => {
      scores[e] = before[i];
    });
    await run.run(stage);
    touched.fill(0);
    for (const node of unsettled) touched[node] = 1;
    const now = before.slice();
    for (const [i, e] of due.entries()) {
      const place = known.edges.offsets[order ? order[keys[i]] : keys[i]] + e - offsets[keys[i]];
      if (scores[e] === before[place]) continue;
      now[place] = scores[e];
      touched[keys[i]] = 1;
      touched[targets[e]] = 1;
    }
    rounds.push(now);
  }
  return { scored, rounds };
};

/** All stages, of all nodes and edges. */
async function scoreAll(open: OpenRun, known: KnownScores): ReturnType<Rescore> {
  const { job, only, columns, stages } = open;
  only.nodes.fill(1);
  only.edges.fill(1);
  await open.findReverse();
  const rounds: Float32Array[] = [];
  for (const stage of stages) {
    await open.run(stage);
    if (stage.name !== 'score') continue;
    const scores = columns[stage.columns[0]].values;
    const round = new Float32Array(scores.length);
    eachKnown(open, known, (i, e) => {
      round[i] = scores[e];
    });
    rounds.push(round);
  }
  return { scored: rounds.length * job.targets!.length, rounds };
}

/** Visits all edges with their places among the known ones and in the job. */
function eachKnown({ job }: OpenRun, { edges }: KnownScores, visit: (place: number, edge: number) => void): void {
  const { nodeCount, order } = job;
  for (let p = 0, e = 0; p < nodeCount; p++) {
    const a = order ? order[p] : p;
    for (let i = edges.offsets[a]; i < edges.offsets[a + 1]; i++, e++) visit(i, e);
  }
}

/** Edges whose structural features may differ from what they were, each with the node that it is keyed by. */
function restructuredEdges({ job }: OpenRun, known: KnownScores): Map<number, number> {
  const { nodeCount, neighbours, width, offsets, positions } = job;
  const targets = job.targets!;
  const { lists, changed } = known;
  const positionOf = (number: number) => (positions ? positions[number] : number);
  const found = new Map<number, number>();
  const isChanged = new Uint8Array(nodeCount);
  /** Of each node that one of changed list lists now and did not, or no more: those that do, as they are numbered inside. */
  const anew = new Map<number, number[]>();
  const isAnew = new Uint8Array(nodeCount);
  for (const node of changed) {
    const p = positionOf(node);
    isChanged[p] = 1;
    for (const other of listedInOne(known.graph, lists, node, width - 1)) {
      const a = positionOf(other);
      isAnew[a] = 1;
      const by = anew.get(a);
      if (by) by.push(p);
      else anew.set(a, [p]);
    }
  }
  /** Whether one of the first neighbours of b lists a now and did not, or no more. */
  const isOnPath = (a: number, b: number) => {
    const by = anew.get(a)!;
    for (let c = 1; c <= pathHops && c < width; c++) if (by.includes(neighbours[b * width + c])) return true;
    return false;
  };
  for (let a = 0; a < nodeCount; a++) {
    for (let e = offsets[a]; e < offsets[a + 1]; e++) {
      const b = targets[e];
      if (
        isChanged[a] === 1 ||
        isChanged[b] === 1 ||
        (isAnew[a] === 1 && isOnPath(a, b)) ||
        (isAnew[b] === 1 && isOnPath(b, a))
      )
        found.set(e, a);
    }
  }
  return found;
}
