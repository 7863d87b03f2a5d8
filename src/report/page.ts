/**
 * A page with charts that is one file: styles, the plotting library uPlot and the data of the charts are inside, and its
 * content security policy lets it load nothing. Everything that a chart says also stands in a table, so the page can be read
 * without scripts.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Html, html, jsonForScript } from './html.js';

export interface Chart {
  readonly title: string;
  /** The meaning of the section, and how to read it. */
  readonly text: string;
  readonly kind: 'line' | 'bars';
  readonly xTitle: string;
  readonly x: readonly number[];
  readonly series: readonly Series[];
  /** Series that are in the table alone. */
  readonly extra?: readonly Series[];
  /** The axes that are logarithmic. */
  readonly log?: 'x' | 'y';
  /** A place on the x axis that is marked, and its name. */
  readonly mark?: { readonly x: number; readonly name: string } | undefined;
  /** Rows of the table are each so many points. */
  readonly every?: number;
}

interface Series {
  readonly name: string;
  readonly values: readonly (number | null)[];
  /** Whether the series has an axis of its own, to the right. */
  readonly right?: boolean;
}

const assets = new URL('../../../pages/', import.meta.url);
const asset = (name: string) => readFileSync(new URL(name, assets), 'utf8');

/** A whole page. */
export function page(title: string, body: Html, charts: readonly Chart[]): string {
  const uplot = createRequire(import.meta.url).resolve('uplot');
  const library = readFileSync(uplot.replace(/[^/\\]*$/, 'uPlot.iife.min.js'), 'utf8');
  const script = `${library}\n${asset('charts.js')}`;
  const digest = createHash('sha256').update(script).digest('base64');
  const policy = `default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'`;
  const style = readFileSync(uplot.replace(/[^/\\]*$/, 'uPlot.min.css'), 'utf8') + asset('page.css');
  const drawn = charts.map(({ text, every, extra, ...chart }) => chart);
  return html`<!doctype html>
<!-- made by naan -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${new Html(style)}</style>
</head>
<body>
${body}
<script type="application/json" id="charts">${jsonForScript(drawn)}</script>
<script>${new Html(script)}</script>
</body>
</html>
`.text;
}

/** The place of chart `index` of the page, with its table. */
export function figure(chart: Chart, index: number): Html {
  const every = chart.every ?? 1;
  const series = [...chart.series, ...(chart.extra ?? [])];
  const rows = chart.x.flatMap((x, i) =>
    i % every === 0 ? [[number(x), ...series.map(({ values }) => number(values[i]))]] : [],
  );
  return html`<section>
<h2 id="chart-${index}">${chart.title}</h2>
<p>${chart.text}</p>
<figure data-chart="${index}" role="img" aria-label="${chart.title}: the numbers are in the table that follows"></figure>
<details><summary>${chart.title} as a table</summary>
${table([chart.xTitle, ...series.map(({ name }) => name)], rows)}
</details>
</section>
`;
}

/** A table; the first column names its row. */
export function table(titles: readonly string[], rows: readonly (readonly (string | Html)[])[]): Html {
  const head =
    titles.length === 0
      ? ''
      : html`<thead><tr>${titles.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead>`;
  const line = ([first, ...others]: readonly (string | Html)[]) =>
    html`<tr><th scope="row">${first}</th>${others.map((cell) => html`<td>${cell}</td>`)}</tr>\n`;
  return html`<div class="table"><table>${head}<tbody>${rows.map(line)}</tbody></table></div>`;
}

export function number(value: number | null): string {
  if (value === null || Number.isNaN(value)) return '–';
  return Number.isInteger(value) ? value.toLocaleString('en-US') : String(Number(value.toPrecision(4)));
}
