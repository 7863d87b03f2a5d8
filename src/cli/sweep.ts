import { relabel } from '../cluster/relabel.js';
import { type SweepPoint, sweep, sweepPartition } from '../evaluation/sweep.js';
import { edgesFromPairs } from '../graph/candidate-edges.js';
import { readLabels } from '../io/labels.js';
import { writeText } from '../io/output-file.js';
import { checkOutputs, isOurPage } from '../io/outputs.js';
import { readScoredPairs } from '../io/scored-pairs.js';
import { absentPairsOf } from '../jobs/run-inputs.js';
import type { Chart } from '../report/page.js';
import type { Run } from './command.js';
import { count, table } from './format.js';

export const run: Run<'sweep'> = async ({
  edges: edgesPath,
  scores: scoresPath,
  truth: truthPath,
  plot,
  overwrite,
  partition,
  ...options
}) => {
  if (plot !== undefined) {
    const file = { name: 'plot', path: plot, isOurs: isOurPage, otherwise: 'naan did not make it' };
    await checkOutputs([file], { edges: edgesPath, scores: scoresPath, truth: truthPath }, overwrite);
  }
  const truth = truthPath === undefined ? undefined : (await readLabels(truthPath)).codes;
  const { pairs, scores } = await readScoredPairs(edgesPath, scoresPath, truth?.length);
  const nodes = truth?.length ?? pairs.reduce((highest, id) => Math.max(highest, id), -1) + 1;
  // Without a truth only the nodes that edges touch matter: one edge may name a node of any number.
  const { edges, place } = edgesFromPairs(truth?.length ?? relabel(pairs), pairs);
  const placed = new Float32Array(scores.length);
  for (let e = 0; e < placed.length; e++) placed[place[e]] = scores[e];
  const { step, maxSize, maxIterations, start, leftovers } = options;
  const ladder = { step, maxSize, maxIterations, start, leftovers };
  const points =
    partition === 'threshold'
      ? sweep(edges, placed, { truth })
      : sweepPartition(edges, placed, partition, { truth, absentPairs: absentPairsOf(scoresPath), ...ladder });
  const best = bestOf(points);
  if (plot !== undefined) await writePlot(plot, points, best, scoresPath);
  return {
    json: { nodes, edges: placed.length, partition, ...(best && { best }), points },
    text: describe(points, best),
  };
};

/** The point of the highest BCubed F, the lower threshold of equals. */
function bestOf(points: readonly SweepPoint[]): SweepPoint | undefined {
  const f = (point: SweepPoint) => point.bcubed?.f ?? -1;
  return points[0]?.bcubed && points.reduce((best, point) => (f(point) > f(best) ? point : best));
}

/** Loaded when asked for. */
async function writePlot(
  path: string,
  points: readonly SweepPoint[],
  best: SweepPoint | undefined,
  scores: string,
): Promise<void> {
  const { figure, page } = await import('../report/page.js');
  const { html } = await import('../report/html.js');
  const sizes = [
    { name: 'clusters', values: points.map(({ clusters }) => clusters) },
    { name: 'clusters of one row', values: points.map(({ singletons }) => singletons) },
  ];
  const quality = [
    { name: 'BCubed F', values: points.map(({ bcubed }) => bcubed?.f ?? null) },
    { name: 'pairwise F', values: points.map(({ pairwise }) => pairwise?.f ?? null) },
  ];
  const chart: Chart = {
    title: 'Every threshold',
    text: 'The components of the edges of each threshold or more.',
    kind: 'line',
    xTitle: 'threshold',
    x: points.map(({ threshold }) => threshold),
    series: best ? quality : sizes,
    extra: best ? sizes : [],
    mark: best && { x: best.threshold, name: `best BCubed F ${best.bcubed!.f.toFixed(4)} at ${best.threshold}` },
  };
  const title = `naan sweep: ${scores}`;
  await writeText(path, page(title, html`<main><h1>${title}</h1>${figure(chart, 0)}</main>`, [chart]));
}

const curveWidth = 24;

/** Every fifth point, and the best; behind each a bar, which is the curve of BCubed F, or of clusters without the truth. */
function describe(points: readonly SweepPoint[], best: SweepPoint | undefined): string {
  const shown = points.filter((point, i) => i % 5 === 0 || point === best);
  const measures = best ? ['BCubed P', 'R', 'F', 'pairwise P', 'R', 'F'] : [];
  const heightOf = (point: SweepPoint) => point.bcubed?.f ?? point.clusters;
  const highest = best ? 1 : points.reduce((most, point) => Math.max(most, point.clusters), 1);
  const bar = (point: SweepPoint) => '█'.repeat(Math.round((curveWidth * heightOf(point)) / highest));
  const rows = shown.map((point) => [
    point.threshold.toFixed(2) + (point === best ? ' best' : ''),
    ...[point.clusters, point.singletons, point.largest].map(count),
    ...[point.bcubed, point.pairwise].flatMap((m) => (m ? [m.precision, m.recall, m.f].map((x) => x.toFixed(4)) : [])),
    bar(point).padEnd(curveWidth),
  ]);
  const curve = (best ? 'BCubed F, 0 to 1' : 'clusters').padEnd(curveWidth);
  return table([['threshold', 'clusters', 'of one', 'largest', ...measures, curve], ...rows]);
}
