/** Which identity a new row is nearest to, by the scores of the edges of its small graph. */
import { type AbsentPairs, capacity } from '../cluster/linkage.js';
import type { ScoringRun } from '../engine/scoring-run.js';
import type { Local } from './assign-graphs.js';

/** Finds the identity that a new row is nearest to. */
export class Judge {
  /** Rows of each identity. */
  private readonly sizes = new Map<number, number>();

  constructor(
    private readonly labels: Int32Array,
    private readonly absentPairs: AbsentPairs,
    private readonly byMean: boolean,
  ) {
    for (const label of labels) if (label >= 0) this.sizes.set(label, (this.sizes.get(label) ?? 0) + 1);
  }

  judge(
    { rows, starts }: Local,
    run: ScoringRun,
    give: (index: number, label: number, nearness: number, margin: number) => void,
  ): void {
    const { labels, sizes, absentPairs, byMean } = this;
    const { order, edges } = run;
    const nodeAt = (position: number) => (order ? order[position] : position);
    const others = new Float64Array(rows.length);
    const counts = new Int32Array(rows.length);
    const ofNew = new Map<number, { readonly node: number; readonly score: number }[]>();
    const isNew = new Uint8Array(rows.length);
    for (let i = 0; i + 1 < starts.length; i++) isNew[starts[i]] = 1;
    for (let p = 0; p < edges.nodeCount; p++) {
      for (let e = edges.offsets[p]; e < edges.offsets[p + 1]; e++) {
        const score = edges.scores[e];
        const ends = [nodeAt(p), nodeAt(edges.targets[e])];
        for (const [node, other] of [ends, [ends[1], ends[0]]]) {
          others[node] += 1 - score;
          counts[node]++;
          if (isNew[node] === 0) continue;
          const found = ofNew.get(node);
          if (found) found.push({ node: other, score });
          else ofNew.set(node, [{ node: other, score }]);
        }
      }
    }
    const roomOf = (node: number) => (absentPairs === 'room' ? (others[node] + 1) / (counts[node] + 2) : 1);
    for (let i = 0; i + 1 < starts.length; i++) {
      const found = new Map<number, { weight: number; count: number; rooms: number; ends: number; best: number }>();
      for (const { node, score } of ofNew.get(starts[i]) ?? []) {
        const label = labels[rows[node]];
        if (label < 0) continue;
        const sums = found.get(label) ?? { weight: 0, count: 0, rooms: 0, ends: 0, best: 0 };
        sums.weight += score;
        sums.count++;
        sums.rooms += roomOf(node);
        sums.ends += counts[node];
        sums.best = Math.max(sums.best, score);
        found.set(label, sums);
      }
      let [label, nearest, next] = [-1, 0, 0];
      for (const [one, { weight, count, rooms: sum, ends, best }] of found) {
        const size = sizes.get(one)!;
        const roomOfOne = absentPairs === 'capacity' ? capacity(ends / count, size) : sum / count;
        const room = roomOf(starts[i]) * roomOfOne * size;
        const present = absentPairs === 'all' ? 0 : count;
        const nearness = byMean ? Math.fround(weight / Math.sqrt(count * (present + room))) : best;
        if (nearness > nearest || (nearness === nearest && one < label)) {
          next = nearest;
          nearest = nearness;
          label = one;
        } else next = Math.max(next, nearness);
      }
      give(i, label, nearest, nearest - next);
    }
  }
}
