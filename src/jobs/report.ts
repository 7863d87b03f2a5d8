/** report.html: a labelling run on one page that needs nothing else. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { NaanError } from '../errors.js';
import { type Agreement, type Evaluation, evaluate } from '../evaluation/evaluate.js';
import { type TrustPoint, trustCurve } from '../evaluation/trust-curve.js';
import { bytes as bytesText, duration } from '../format.js';
import { edgesFromPairs } from '../graph/candidate-edges.js';
import { readLabels } from '../io/labels.js';
import { itemsOfBoth, matchByItem } from '../io/labels-by-item.js';
import { writeText } from '../io/output-file.js';
import { checkOutputs } from '../io/outputs.js';
import { type CurvePoint, curvesOf, type ScoreCurves } from '../report/curves.js';
import { type Html, html } from '../report/html.js';
import { imageFile, imageRoot } from '../report/images.js';
import { type Chart, figure, number, page, table } from '../report/page.js';
import { thumbnailMaker } from '../report/thumbnails.js';
import { reportName, reportOutput } from './label-files.js';
import { highest, type LabelledRun, readLabelledRun, scoresOfRun } from './run-folder.js';

export interface ReportOptions {
  /** Folder that `label` wrote to. */
  readonly run: string;
  /** True identities, by the names of the rows where both have them. */
  readonly truth?: string | undefined;
  /** Folder that items lie in, where they are paths of images: the page gets contact sheets. */
  readonly images?: string | undefined;
  /** Default: report.html in the run's folder. */
  readonly out?: string | undefined;
  readonly overwrite?: boolean | undefined;
}

export interface ReportSummary {
  readonly out: string;
  readonly bytes: number;
  readonly rows: number;
  readonly clusters: number;
  readonly thumbnails: number;
}

/** Writes the page. Throws BAD_INPUT for a folder without a run or a truth that does not fit, BAD_USAGE, NOT_WRITABLE. */
export async function report({
  run: folder,
  truth,
  images,
  out = join(folder, reportName),
  overwrite,
}: ReportOptions): Promise<ReportSummary> {
  await checkOutputs([reportOutput(out)], { truth }, overwrite);
  const root = images === undefined ? undefined : await imageRoot(images);
  const run = await readLabelledRun(folder);
  const known = truth === undefined ? undefined : await readTruth(run, truth);
  const curves = await findCurves(run, known);
  const { text, thumbnails } = await pageOf(run, { curves, truth: known, root });
  await writeText(out, text);
  return { out, bytes: Buffer.byteLength(text), rows: run.clusterOf.length, clusters: run.ids.length, thumbnails };
}

interface Shown {
  readonly curves: ScoreCurves | undefined;
  /** The true identity of each row [n]. */
  readonly truth?: Int32Array | undefined;
  /** Folder that the images lie in, as `imageRoot` gives it. */
  readonly root: string | undefined;
}

/** The text of the page about a run, and how many thumbnails it has. */
export async function pageOf(
  run: LabelledRun,
  { curves, truth, root }: Shown,
): Promise<{ text: string; thumbnails: number }> {
  const evaluation = truth && evaluate(run.clusterOf, truth);
  const charts = [
    sizesChart(run),
    ...(curves ? [curveChart(run, curves), scoresChart(run, curves)] : []),
    ...trustChart(run, truth),
  ];
  const sheets = await contactSheets(run, root);
  const title = `naan label: ${run.record.options?.features ?? run.folder}`;
  const body = html`<main>
<h1>${title}</h1>
<p class="quiet">naan ${run.record.naan}, ${run.folder}. This page is one file and loads nothing.</p>
${facts(run)}
${notices(run, curves)}
${evaluation && agreement(evaluation)}
${charts.map(figure)}
${sheets.body}
${stages(run)}
${origins(run)}
</main>`;
  return { text: page(title, body, charts), thumbnails: sheets.thumbnails };
}

async function readTruth(run: LabelledRun, path: string): Promise<Int32Array> {
  const labels = { codes: run.clusterOf };
  const { codes } = await readLabels(path);
  const table = join(run.folder, 'labels.csv');
  const items = run.items && (await itemsOfBoth(table, path));
  if (items) {
    const { truth, matched } = await matchByItem({ labels, items: items[0] }, { labels: { codes }, items: items[1] });
    if (matched > 0) return truth;
    throw new NaanError('BAD_INPUT', `${path}: has none of the items of ${table}, expected the same names in both`);
  }
  if (codes.length === labels.codes.length) return codes;
  throw new NaanError(
    'BAD_SHAPE',
    `${path}: ${codes.length} labels, expected ${labels.codes.length} as the run has rows`,
  );
}

/** Curves of the scores where these were kept, else the curves that `label` has found. */
async function findCurves(run: LabelledRun, truth: Int32Array | undefined): Promise<ScoreCurves | undefined> {
  const { curves } = run.record;
  if (curves && !truth) return curves;
  const scored = await scoresOfRun(run);
  if (!scored) return curves;
  const { edges, place } = edgesFromPairs(run.clusterOf.length, scored.pairs);
  const scores = new Float32Array(scored.scores.length);
  for (let e = 0; e < scores.length; e++) scores[place[e]] = scored.scores[e];
  return curvesOf({ ...edges, scores }, truth);
}

function facts({ record, clusterOf, ids, sizes }: LabelledRun): Html {
  const alone = sizes.reduce((sum, size) => sum + (size === 1 ? 1 : 0), 0);
  const largest = sizes.reduce((most, size) => Math.max(most, size), 0);
  const without = clusterOf.reduce((sum, cluster) => sum + (cluster < 0 ? 1 : 0), 0);
  const { partition, threshold, thresholdFrom, seconds, peakRssBytes } = record;
  const shown: [string, string | undefined][] = [
    ['rows', number(clusterOf.length)],
    ['clusters', number(ids.length)],
    ['clusters of one row', number(alone)],
    ['largest cluster', number(largest)],
    ['without a label', number(without)],
    ['candidate edges', record.edges === undefined ? undefined : number(record.edges)],
    ['partition', partition],
    [`threshold${thresholdFrom ? `, ${thresholdFrom}` : ''}`, threshold?.toFixed(3)],
    ['time', seconds && duration(seconds.total)],
    ['peak memory', peakRssBytes === undefined ? undefined : bytesText(peakRssBytes)],
  ];
  return html`<dl class="facts">${shown.map(([name, value]) => value !== undefined && html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function notices({ record, table: trust }: LabelledRun, curves: ScoreCurves | undefined): Html | undefined {
  const missing = [
    ...(curves
      ? []
      : ['There is no curve over thresholds: it needs what label keeps without --no-report, or with --save-edges.']),
    ...(trust ? [] : ['There is no trust: it needs clusters.csv, which label writes without --no-trust.']),
  ];
  const told = [...(record.notices ?? []), ...missing];
  if (told.length === 0) return undefined;
  return html`<section><h2>Notices</h2><ul class="notices">${told.map((notice) => html`<li>${notice}</li>`)}</ul></section>`;
}

function agreement(evaluation: Evaluation): Html {
  const figures = (name: string, { bcubed, pairwise, nmi }: Agreement) => [
    [`${name}: BCubed`, ...[bcubed.precision, bcubed.recall, bcubed.f, nmi].map((x) => x.toFixed(4))],
    [`${name}: pairwise`, ...[pairwise.precision, pairwise.recall, pairwise.f].map((x) => x.toFixed(4)), ''],
  ];
  const rows = [...figures('all rows', evaluation.all), ...figures('without singletons', evaluation.withoutSingletons)];
  return html`<section><h2>Against the truth</h2>
<p>${number(evaluation.identities)} identities, purity ${evaluation.purity.toFixed(4)}; ${(100 * evaluation.discardRatio).toFixed(1)} % of the rows are alone in their cluster.</p>
${table(['', 'precision', 'recall', 'F', 'NMI'], rows)}</section>`;
}

/** Clusters by size, in bins that double. */
function sizesChart({ sizes }: LabelledRun): Chart {
  const clusters: number[] = [];
  const rows: number[] = [];
  for (const size of sizes) {
    const bin = 31 - Math.clz32(size);
    while (clusters.length <= bin) {
      clusters.push(0);
      rows.push(0);
    }
    clusters[bin]++;
    rows[bin] += size;
  }
  return {
    title: 'Sizes of clusters',
    text: 'Each bar is the clusters of so many rows, up to twice as many; the rows in them are in the table.',
    kind: 'bars',
    xTitle: 'rows of a cluster, at least',
    x: clusters.map((_, bin) => 2 ** bin),
    series: [{ name: 'clusters', values: clusters }],
    log: 'x',
    extra: [{ name: 'rows in them', values: rows }],
  };
}

function curveChart({ record }: LabelledRun, { points }: ScoreCurves): Chart {
  const column = (of: (point: CurvePoint) => number | undefined) => points.map((point) => of(point) ?? null);
  const sizes = [
    { name: 'clusters', values: column(({ clusters }) => clusters) },
    { name: 'rows not alone', values: column(({ rows }) => rows) },
  ];
  const hasTruth = points.some(({ bcubedF }) => bcubedF !== undefined);
  const quality = [
    { name: 'BCubed F', values: column(({ bcubedF }) => bcubedF) },
    { name: 'pairwise F', values: column(({ pairwiseF }) => pairwiseF) },
  ];
  return {
    title: 'Every threshold',
    text: 'The components of the edges of each threshold or more; other partitions cut the same scores more carefully.',
    kind: 'line',
    xTitle: 'threshold',
    x: points.map(({ threshold }) => threshold),
    series: hasTruth ? quality : sizes,
    extra: hasTruth ? sizes : [],
    mark: markOf(record),
    every: 5,
  };
}

function scoresChart({ record }: LabelledRun, { histogram }: ScoreCurves): Chart {
  return {
    title: 'Scores of edges',
    text: 'How many candidate edges have which score. A threshold is best where few edges are.',
    kind: 'bars',
    xTitle: 'score',
    x: histogram.map((_, bin) => (bin + 0.5) / histogram.length),
    series: [{ name: 'edges', values: histogram }],
    mark: markOf(record),
  };
}

function markOf({ threshold, thresholdFrom }: LabelledRun['record']): Chart['mark'] {
  if (threshold === undefined) return undefined;
  return { x: threshold, name: `threshold ${threshold.toFixed(3)}${thresholdFrom ? `, ${thresholdFrom}` : ''}` };
}

const trustSteps = 50;

/** The most trusted clusters first: how much of the set they are, and how good what is kept is. */
function trustChart({ clusterOf, table: clusters }: LabelledRun, truth: Int32Array | undefined): Chart[] {
  if (!clusters) return [];
  const points = trustCurve(clusterOf, clusters.trust, truth, trustSteps);
  if (points.length === 0) return [];
  const column = (of: (point: TrustPoint) => number | undefined) => points.map((point) => of(point) ?? null);
  const trust = { name: 'least trust', values: column((point) => point.trust) };
  const ofBCubed = [
    { name: 'BCubed precision', values: column(({ bcubed }) => bcubed?.precision), right: true },
    { name: 'BCubed recall', values: column(({ bcubed }) => bcubed?.recall), right: true },
  ];
  const ofPairs = [
    { name: 'pairwise precision', values: column(({ pairwise }) => pairwise?.precision) },
    { name: 'pairwise recall', values: column(({ pairwise }) => pairwise?.recall) },
  ];
  const kept = truth ? ' Precision and recall are over the rows that are kept, whose identities are known.' : '';
  return [
    {
      title: 'Trust of clusters',
      text: `The trust of a cluster is the mean margin of its rows: the best score of a row to its own cluster, 1 for a row alone, less its best to any other. From the left, the most trusted clusters that together hold a share of the rows, which are those that --min-trust of the least trust keeps.${kept}`,
      kind: 'line',
      xTitle: 'share of the rows, most trusted first',
      x: points.map(({ share }) => share),
      series: [trust, ...(truth ? ofBCubed : [])],
      extra: truth ? ofPairs : [],
      every: 5,
    },
  ];
}

const sheetClusters = 12;
const sheetRows = 8;

async function contactSheets(run: LabelledRun, root: string | undefined) {
  const { clusterOf, ids, sizes, trust, items } = run;
  const several = (key: (c: number) => number) => (c: number) => (sizes[c] > 1 ? key(c) : Number.NaN);
  // Spread over all clusters by a hash, and the same each time.
  const scattered = (c: number) => Math.imul(c + 1, 0x9e3779b1) ^ (Math.imul(c + 1, 0x85ebca6b) >>> 15);
  const sheets = (
    [
      ['Largest clusters', several((c) => sizes[c])],
      ['Least trusted clusters', several((c) => -trust[c])],
      ['Clusters at random', several(scattered)],
    ] as const
  ).map(([name, key]) => ({ name, clusters: highest(ids.length, sheetClusters, key) }));
  const rowsOf = new Map<number, number[]>();
  for (const { clusters } of sheets) for (const c of clusters) rowsOf.set(c, []);
  for (let row = 0; row < clusterOf.length; row++) {
    const rows = rowsOf.get(clusterOf[row]);
    if (rows && rows.length < sheetRows) rows.push(row);
  }
  const names = new Map([...rowsOf.values()].flat().map((row) => [row, `row ${row}`]));
  await items?.each((some, first) => {
    for (let i = 0; i < some.length; i++) if (names.has(first + i)) names.set(first + i, some[i]);
  });
  const thumbnail = root === undefined ? undefined : await thumbnailMaker();
  const shown = new Map<number, Html>();
  let thumbnails = 0;
  for (const [row, name] of names) {
    const path = root === undefined || !items ? undefined : await imageFile(root, name);
    const small = path === undefined ? undefined : await thumbnail?.(path);
    if (small !== undefined) thumbnails++;
    const inner =
      small === undefined ? name : html`<img src="${small}" alt="${name}" title="${name}" width="64" height="64">`;
    shown.set(
      row,
      path === undefined ? html`<li>${inner}</li>` : html`<li><a href="${pathToFileURL(path).href}">${inner}</a></li>`,
    );
  }
  const cluster = (c: number) => {
    const sure = Number.isNaN(trust[c]) ? '' : `, trust ${trust[c].toFixed(3)}`;
    return html`<div class="cluster"><h3>Cluster ${ids[c]}</h3><span class="quiet">${number(sizes[c])} rows${sure}</span><ul>${rowsOf.get(c)!.map((row) => shown.get(row))}</ul></div>`;
  };
  const filled = sheets.filter(({ clusters }) => clusters.length > 0);
  return {
    thumbnails,
    body: filled.map(
      ({ name, clusters }) => html`<section><h2>${name}</h2>
<p class="quiet">${sheetRows} rows of each at the most.</p>
<div class="sheet">${clusters.map(cluster)}</div></section>`,
    ),
  };
}

function stages({ record }: LabelledRun): Html | undefined {
  const { seconds, engine, plan, peakRssBytes } = record;
  if (!seconds) return undefined;
  const rows = Object.entries(seconds.stages).map(([stage, taken]) => {
    const busy = engine?.busy?.[stage];
    return [
      stage,
      duration(taken),
      `${((100 * taken) / seconds.total).toFixed(1)} %`,
      busy === undefined ? '' : `${Math.round(100 * busy)} %`,
    ];
  });
  const memory = plan && [
    ...Object.entries(plan.parts).map(([part, taken]) => [part, bytesText(taken)]),
    ['planned in all', bytesText(plan.memoryBytes)],
    ['limit', bytesText(plan.limitBytes)],
    ...(peakRssBytes === undefined ? [] : [['used at the most', bytesText(peakRssBytes)]]),
  ];
  return html`<section><h2>Stages and limits</h2>
<p>A stage whose threads are not busy waits: for the disk, for the main thread, or for one another.${engine && html` ${number(engine.threads)} threads, ${number(engine.shards)} shards${engine.backend && `, back-end ${engine.backend}${engine.simd ? ` (${engine.simd})` : ''}`}.`}</p>
${table(['stage', 'time', 'share', 'threads busy'], rows)}
${memory && html`<h3>Memory</h3>${table([], memory)}`}</section>`;
}

function origins({ record }: LabelledRun): Html {
  const { options = {}, optionSources = {}, inputs = [] } = record;
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
  const rows = given.map(([name, value]) => [
    name,
    typeof value === 'object' ? JSON.stringify(value) : String(value),
    optionSources[name] ?? '',
  ]);
  return html`<section><h2>Inputs and options</h2>
${
  inputs.length > 0 &&
  table(
    ['input', 'bytes', 'SHA-256, sampled'],
    inputs.map(({ path, bytes, sampledSha256 }) => [path, number(bytes), sampledSha256]),
  )
}
<details><summary>Options</summary>${table(['option', 'value', 'from'], rows)}</details></section>`;
}
