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
import { sharedCopy } from '../../memory/shared-arrays.js';
import { pathHops } from './structural-features.js';

/**
 * The share of lists that have changed from which on all edges are scored, by the rounds of the model: where both ways took equally long, of 100,000
 * rows of `naan generate`.
 */
const manyLists = [1 / 4, 1 / 16, 1 / 32];

export const rescore: Rescore = async (run, known) => {
  const { job, only, columns, stages } = run;
  const { nodeCount, offsets } = job;
  const targets = job.targets!;
  const reverse = job.reverse!;
  const edgeCount = targets.length;
  const scorings = stages.filter(({ name }) => name === 'score');
  const stageOf = (name: string, round = 0) => stages.find((one) => one.name === name && one.round === round)!;
  const eachAt = (node: number, visit: (edge: number, other: number) => void) => {
    for (let e = offsets[node]; e < offsets[node + 1]; e++) visit(e, targets[e]);
    for (let i = reverse.offsets[node]; i < reverse.offsets[node + 1]; i++) visit(reverse.edges[i], reverse.sources[i]);
  };
  const eachEdge = (visit: (edge: number, key: number) => void) => {
    for (let node = 0; node < nodeCount; node++) for (let e = offsets[node]; e < offsets[node + 1]; e++) visit(e, node);
  };

  const changed = changedLists(run, known);
  if (changed.length > nodeCount * (manyLists[scorings.length - 1] ?? manyLists[2])) return scoreAll(run);
  const { places, unsettled } = placesOf(run, known);
  const restructured = restructuredEdges(run, known, changed, eachAt);
  await run.run(stageOf('load'));

  /** Nodes whose cosines, and edges whose structural features are there. */
  const compared = new Uint8Array(nodeCount);
  const structured = new Uint8Array(edgeCount);
  const rounds: Float32Array[] = [];
  let touched = unsettled.slice();
  let scored = 0;
  for (const [round, stage] of scorings.entries()) {
    const scores = columns[stage.columns[0]].values;
    const due = restructured.slice();
    const mark = (e: number) => {
      due[e] = 1;
    };
    if (round > 0) for (let node = 0; node < nodeCount; node++) if (touched[node] === 1) eachAt(node, mark);
    only.nodes.fill(0);
    eachEdge((e, node) => {
      only.edges[e] = due[e] === 0 ? 0 : 2 - structured[e];
      if (only.edges[e] < 2) return;
      structured[e] = 1;
      only.nodes[node] = 1;
      only.nodes[targets[e]] = 1;
    });
    for (let node = 0; node < nodeCount; node++) {
      if (only.nodes[node] === 1) [only.nodes[node], compared[node]] = [1 - compared[node], 1];
    }
    await run.run(stageOf('similarities'));
    if (round > 0) await run.run(stageOf('summarise', round));
    const before = known.rounds[round];
    for (let e = 0; e < edgeCount; e++) if (places[e] >= 0) scores[e] = before[places[e]];
    await run.run(stage);
    touched = unsettled.slice();
    eachEdge((e, node) => {
      if (due[e] === 0) return;
      scored++;
      if (places[e] >= 0 && scores[e] === before[places[e]]) return;
      touched[node] = 1;
      touched[targets[e]] = 1;
    });
    rounds.push(sharedCopy(scores));
  }
  return { scored, rounds };
};

/** All stages, of all nodes and edges. */
async function scoreAll({ job, only, columns, stages, run }: OpenRun): ReturnType<Rescore> {
  only.nodes.fill(1);
  only.edges.fill(1);
  const rounds: Float32Array[] = [];
  for (const stage of stages) {
    await run(stage);
    if (stage.name === 'score') rounds.push(sharedCopy(columns[stage.columns[0]].values));
  }
  return { scored: rounds.length * job.targets!.length, rounds };
}

type EachAt = (node: number, visit: (edge: number, other: number) => void) => void;

/**
 * The place of each edge among the pairs that were known, −1 for one that is new [E]; and the nodes of which an edge came or
 * went [n].
 */
function placesOf({ job }: OpenRun, { pairs }: KnownScores): { places: Int32Array; unsettled: Uint8Array } {
  const { nodeCount, offsets, order, positions } = job;
  const targets = job.targets!;
  const numberAt = (position: number) => (order ? order[position] : position);
  const positionOf = (number: number) => (positions ? positions[number] : number);
  const starts = new Uint32Array(nodeCount + 1);
  for (let i = 0; i < pairs.length; i += 2) if (pairs[i] >= 0) starts[pairs[i] + 1]++;
  for (let node = 0; node < nodeCount; node++) starts[node + 1] += starts[node];
  const next = starts.slice(0, nodeCount);
  const placed = new Int32Array(starts[nodeCount]);
  for (let i = 0; i < pairs.length; i += 2) if (pairs[i] >= 0) placed[next[pairs[i]]++] = i >> 1;

  const places = new Int32Array(targets.length).fill(-1);
  const unsettled = new Uint8Array(nodeCount);
  const isKept = new Uint8Array(pairs.length >> 1);
  /** By the other end, of the node that is looked at [n]. */
  const placeOfEnd = new Int32Array(nodeCount).fill(-1);
  for (let a = 0; a < nodeCount; a++) {
    const p = positionOf(a);
    if (offsets[p] === offsets[p + 1] && starts[a] === starts[a + 1]) continue;
    for (let i = starts[a]; i < starts[a + 1]; i++) placeOfEnd[pairs[2 * placed[i] + 1]] = placed[i];
    for (let e = offsets[p]; e < offsets[p + 1]; e++) {
      const place = placeOfEnd[numberAt(targets[e])];
      places[e] = place;
      if (place >= 0) isKept[place] = 1;
      else {
        unsettled[p] = 1;
        unsettled[targets[e]] = 1;
      }
    }
    for (let i = starts[a]; i < starts[a + 1]; i++) placeOfEnd[pairs[2 * placed[i] + 1]] = -1;
  }
  for (let place = 0; place < isKept.length; place++) {
    if (isKept[place] === 1 || pairs[2 * place] < 0) continue;
    unsettled[positionOf(pairs[2 * place])] = 1;
    unsettled[positionOf(pairs[2 * place + 1])] = 1;
  }
  return { places, unsettled };
}

/** The nodes whose lists are not as they were, in positions. */
function changedLists({ job }: OpenRun, { lists }: KnownScores): number[] {
  const { nodeCount, neighbours, width, order, positions } = job;
  const numberAt = (position: number) => (order ? order[position] : position);
  const positionOf = (number: number) => (number < 0 ? -1 : positions ? positions[number] : number);
  const changed: number[] = [];
  for (let p = 0; p < nodeCount; p++) {
    const start = numberAt(p) * lists.width;
    let same = true;
    for (let c = 0; c < width && same; c++) same = neighbours[p * width + c] === positionOf(lists.ids[start + c] ?? -1);
    if (!same) changed.push(p);
  }
  return changed;
}

/** Edges whose structural features may differ from what they were [E]. */
function restructuredEdges(
  { job }: OpenRun,
  { lists }: KnownScores,
  changed: readonly number[],
  eachAt: EachAt,
): Uint8Array {
  const { neighbours, width, order, positions } = job;
  const numberAt = (position: number) => (order ? order[position] : position);
  const positionOf = (number: number) => (number < 0 ? -1 : positions ? positions[number] : number);
  const marked = new Uint8Array(job.targets!.length);
  const now = new Set<number>();
  for (const p of changed) {
    const start = numberAt(p) * lists.width;
    eachAt(p, (e) => {
      marked[e] = 1;
    });
    // Nodes that p lists now and did not, or no more: of each the edges to those that have p among their first neighbours.
    now.clear();
    for (let c = 1; c < width; c++) if (neighbours[p * width + c] >= 0) now.add(neighbours[p * width + c]);
    for (let c = 1; c < width; c++) {
      const other = positionOf(lists.ids[start + c]);
      if (other >= 0 && !now.delete(other)) now.add(other);
    }
    for (const a of now) {
      eachAt(a, (e, b) => {
        for (let c = 1; c <= pathHops && c < width; c++) if (neighbours[b * width + c] === p) marked[e] = 1;
      });
    }
  }
  return marked;
}
