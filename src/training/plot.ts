/** The course of a training run as one self-contained SVG: loss above, quality on the held-out identities below. */
import type { TrainedEpoch } from './concat-training.js';

interface Series {
  readonly name: string;
  readonly colour: string;
  /** In epochs, and in the panel's unit. */
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly dots?: boolean;
}

const width = 720;
const panelHeight = 200;
const margin = { left: 56, right: 150, top: 34, between: 52 };
const height = 2 * panelHeight + margin.top + margin.between + 44;

export function plotTraining(epochs: readonly TrainedEpoch[], title: string): string {
  const passes = epochs.flatMap(({ epoch, passes: losses }) =>
    losses.map((loss, i) => [epoch - 1 + (i + 1) / losses.length, loss] as const),
  );
  const judged = epochs.flatMap(({ epoch, heldOut }) => (heldOut ? [{ epoch, heldOut }] : []));
  const over = (pick: (judgement: (typeof judged)[number]['heldOut']) => number) =>
    judged.map(({ epoch, heldOut }) => [epoch, pick(heldOut)] as const);
  const loss: Series[] = [
    { name: 'training loss', colour: '#4269d0', points: passes },
    { name: 'held-out loss', colour: '#ff725c', points: over((h) => h.loss), dots: true },
  ];
  const quality: Series[] = [
    { name: 'BCubed F', colour: '#3a9b5c', points: over((h) => h.partitions[h.partition].bcubed.f), dots: true },
    { name: 'AUC', colour: '#a463f2', points: over((h) => h.auc), dots: true },
    { name: 'accuracy', colour: '#9c6b4e', points: over((h) => h.accuracy), dots: true },
  ];
  const last = epochs.length;
  const lower = margin.top + panelHeight + margin.between;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    panel('cross-entropy, nats', loss, margin.top, last),
    panel('held-out identities', quality, lower, last),
    `<text x="${(margin.left + width - margin.right) / 2}" y="${lower + panelHeight + 36}" text-anchor="middle">epoch</text>`,
    '</svg>\n',
  ].join('\n');
}

function panel(title: string, series: readonly Series[], top: number, lastEpoch: number): string {
  const drawn = series.filter(({ points }) => points.length > 0);
  const values = drawn.flatMap(({ points }) => points.map(([, y]) => y)).filter(Number.isFinite);
  const ticks = niceTicks(Math.min(...values, 1), Math.max(...values, 0));
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  const right = width - margin.right;
  const x = (epoch: number) => margin.left + (epoch / lastEpoch) * (right - margin.left);
  const y = (value: number) => top + panelHeight * (1 - (value - low) / (high - low));
  const lines = [`<text x="${margin.left}" y="${top - 12}" font-weight="bold">${title}</text>`];
  for (const tick of ticks) {
    lines.push(`<path d="M${margin.left} ${fixed(y(tick))}H${right}" stroke="#ddd"/>`);
    lines.push(
      `<text x="${margin.left - 6}" y="${fixed(y(tick) + 4)}" text-anchor="end">${Number(tick.toPrecision(3))}</text>`,
    );
  }
  for (let epoch = 0; epoch <= lastEpoch; epoch++) {
    const place = top + panelHeight + 16;
    lines.push(`<text x="${fixed(x(epoch))}" y="${place}" text-anchor="middle">${epoch}</text>`);
  }
  drawn.forEach(({ name, colour, points, dots }, i) => {
    const path = points.map(([at, value]) => `${fixed(x(at))} ${fixed(y(value))}`).join('L');
    lines.push(`<path d="M${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const [at, value] of dots ? points : []) {
      lines.push(`<circle cx="${fixed(x(at))}" cy="${fixed(y(value))}" r="3.5" fill="${colour}"/>`);
    }
    const [, final] = points[points.length - 1];
    const row = top + 12 + 18 * i;
    lines.push(`<text x="${right + 12}" y="${row}" fill="${colour}">${name} ${final.toPrecision(4)}</text>`);
  });
  return lines.join('\n');
}

/** About five round values that enclose [low, high]. */
function niceTicks(low: number, high: number): number[] {
  const span = Math.max(high - low, 1e-6);
  const rough = span / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!;
  const first = Math.floor(low / step);
  const last = Math.max(Math.ceil(high / step), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

function fixed(value: number): string {
  return value.toFixed(1);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
