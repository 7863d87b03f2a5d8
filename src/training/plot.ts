/** The course of a training run as one self-contained SVG: loss above, quality on the held-out identities below. */

type Points = readonly (readonly [x: number, y: number])[];

export interface Course {
  /** The unit of x: `epoch`, `round`. */
  readonly unit: string;
  readonly until: number;
  readonly trainingLoss: Points;
  /** Measures on identities that were not trained on. */
  readonly heldOut: readonly {
    readonly at: number;
    readonly loss: number;
    readonly auc: number;
    readonly accuracy: number;
    readonly f?: number;
  }[];
}

interface Series {
  readonly name: string;
  readonly colour: string;
  readonly points: Points;
  readonly dots?: boolean;
}

const width = 720;
const panelHeight = 200;
const margin = { left: 56, right: 150, top: 34, between: 52 };
const height = 2 * panelHeight + margin.top + margin.between + 44;

export function plotCourse({ unit, until, trainingLoss, heldOut }: Course, title: string): string {
  const over = (name: string, colour: string, key: 'loss' | 'auc' | 'accuracy' | 'f'): Series => {
    const points = heldOut.flatMap(({ at, [key]: value }) => (value === undefined ? [] : [[at, value] as const]));
    return { name, colour, points, dots: true };
  };
  const loss: Series[] = [
    { name: 'training loss', colour: '#4269d0', points: trainingLoss },
    over('held-out loss', '#ff725c', 'loss'),
  ];
  const quality = [
    over('BCubed F', '#3a9b5c', 'f'),
    over('AUC', '#a463f2', 'auc'),
    over('accuracy', '#9c6b4e', 'accuracy'),
  ];
  const lower = margin.top + panelHeight + margin.between;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    '<!-- drawn by naan -->',
    `<title>${title.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    panel('cross-entropy, nats', loss, margin.top, until),
    panel('held-out identities', quality, lower, until),
    `<text x="${(margin.left + width - margin.right) / 2}" y="${lower + panelHeight + 36}" text-anchor="middle">${unit}</text>`,
    '</svg>\n',
  ].join('\n');
}

function panel(title: string, series: readonly Series[], top: number, until: number): string {
  const drawn = series.filter(({ points }) => points.length > 0);
  const values = drawn.flatMap(({ points }) => points.map(([, y]) => y)).filter(Number.isFinite);
  const [least, greatest] = values.reduce(
    ([least, greatest], y) => [Math.min(least, y), Math.max(greatest, y)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
  const ticks = values.length > 0 ? niceTicks(least, greatest) : [0, 1];
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  const right = width - margin.right;
  const x = (at: number) => margin.left + (at / until) * (right - margin.left);
  const y = (value: number) => top + panelHeight * (1 - (value - low) / (high - low));
  const lines = [`<text x="${margin.left}" y="${top - 12}" font-weight="bold">${title}</text>`];
  for (const tick of ticks) {
    const label = Number(tick.toPrecision(3));
    lines.push(`<path d="M${margin.left} ${fixed(y(tick))}H${right}" stroke="#ddd"/>`);
    lines.push(`<text x="${margin.left - 6}" y="${fixed(y(tick) + 4)}" text-anchor="end">${label}</text>`);
  }
  for (const tick of niceTicks(0, until).filter((tick) => Number.isInteger(tick) && tick <= until)) {
    lines.push(`<text x="${fixed(x(tick))}" y="${top + panelHeight + 16}" text-anchor="middle">${tick}</text>`);
  }
  drawn.forEach(({ name, colour, points, dots }, i) => {
    const path = points.map(([at, value]) => `${fixed(x(at))} ${fixed(y(value))}`).join('L');
    lines.push(`<path d="M${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const [at, value] of dots ? points : []) {
      lines.push(`<circle cx="${fixed(x(at))}" cy="${fixed(y(value))}" r="3.5" fill="${colour}"/>`);
    }
    const [, last] = points[points.length - 1];
    lines.push(
      `<text x="${right + 12}" y="${top + 12 + 18 * i}" fill="${colour}">${name} ${last.toPrecision(4)}</text>`,
    );
  });
  return lines.join('\n');
}

/** About five round values that enclose [low, high]. */
function niceTicks(low: number, high: number): number[] {
  const rough = Math.max(high - low, 1e-6) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!;
  const first = Math.floor(low / step);
  const last = Math.max(Math.ceil(high / step), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

function fixed(value: number): string {
  return value.toFixed(1);
}
