/** Microseconds a row of each command and its stages, as stacked bars by the size of the set: one self-contained SVG. */

export interface PlottedSize {
  readonly nodes: number;
  readonly steps: Readonly<
    Record<string, { readonly seconds: number; readonly stages: Readonly<Record<string, number>> }>
  >;
}

const barWidth = 46;
const between = 26;
const plotHeight = 280;
const margin = { left: 20, top: 42, bottom: 58 };
/** Stages that take less than this of their command, in every set, are part of the rest. */
const leastShare = 0.06;
const rest = 'start, end, small stages';
const title = 'µs a row, by command, set and stage';
const legendWidth = 170;
const colours = [
  '#4269d0',
  '#efb118',
  '#ff725c',
  '#6cc5b0',
  '#3ca951',
  '#ff8ab7',
  '#a463f2',
  '#97bbf5',
  '#9c6b4e',
  '#1f8a9e',
  '#c2b280',
  '#7a3b69',
  '#b5d33d',
  '#5f6b3a',
];
const colourOfRest = '#c9ccd1';

export function plotStages(sizes: readonly PlottedSize[]): string {
  const commands = Object.keys(sizes[0].steps);
  const bars = commands.flatMap((command) =>
    sizes.map(({ nodes, steps }) => ({
      command,
      nodes,
      parts: partsOf(nodes, steps[command], largeStages(sizes, command)),
    })),
  );
  const stages = new Set(bars.flatMap(({ parts }) => parts.map(([name]) => name)));
  const names = [...stages].filter((name) => name !== rest).concat(rest);
  const colourOf = (name: string) => (name === rest ? colourOfRest : colours[names.indexOf(name) % colours.length]);
  const most = Math.max(...bars.map(({ parts }) => parts.reduce((sum, [, value]) => sum + value, 0)));
  const y = (value: number) => margin.top + plotHeight * (1 - value / most);
  const x = (bar: number) => margin.left + bar * barWidth + Math.floor(bar / sizes.length) * between;
  const width = x(bars.length) + legendWidth;
  const height = Math.max(margin.top + plotHeight + margin.bottom, margin.top + 18 * names.length + 10);

  const drawn: string[] = [];
  for (const [i, { nodes, parts }] of bars.entries()) {
    let below = 0;
    for (const [name, value] of parts) {
      const top = y(below + value);
      const hint = `<title>${name}: ${value.toFixed(2)} µs a row</title>`;
      drawn.push(
        `<rect x="${x(i) + 4}" y="${top.toFixed(1)}" width="${barWidth - 8}" height="${(y(below) - top).toFixed(1)}" fill="${colourOf(name)}">${hint}</rect>`,
      );
      below += value;
    }
    const middle = x(i) + barWidth / 2;
    drawn.push(label(middle, y(below) - 4, below.toFixed(0)), label(middle, y(0) + 16, shortCount(nodes)));
  }
  for (const [c, command] of commands.entries()) {
    drawn.push(label((x(c * sizes.length) + x((c + 1) * sizes.length - 1) + barWidth) / 2, y(0) + 38, command));
  }
  for (const [i, name] of names.toReversed().entries()) {
    const [left, top] = [x(bars.length), margin.top + 18 * i];
    drawn.push(
      `<rect x="${left}" y="${top}" width="12" height="12" fill="${colourOf(name)}"/>`,
      `<text x="${left + 18}" y="${top + 11}">${name}</text>`,
    );
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${title}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${margin.left}" y="16">${title}</text>`,
    ...drawn,
    '</svg>\n',
  ].join('\n');
}

/** Stages of a command that are drawn, in the order of their time in the largest set. */
function largeStages(sizes: readonly PlottedSize[], command: string): string[] {
  const share = ({ steps }: PlottedSize, stage: string) => (steps[command].stages[stage] ?? 0) / steps[command].seconds;
  const last = sizes[sizes.length - 1];
  return Object.keys(last.steps[command].stages)
    .filter((stage) => sizes.some((size) => share(size, stage) >= leastShare))
    .toSorted((a, b) => share(last, b) - share(last, a));
}

/** Microseconds a row of the stages that are drawn, and of all else. */
function partsOf(
  nodes: number,
  { seconds, stages }: PlottedSize['steps'][string],
  drawn: readonly string[],
): [string, number][] {
  const parts = drawn.map((stage): [string, number] => [stage, stages[stage] ?? 0]);
  const others = seconds - parts.reduce((sum, [, value]) => sum + value, 0);
  return [...parts, [rest, Math.max(0, others)] as const].map(([name, value]) => [name, (value / nodes) * 1e6]);
}

function label(x: number, y: number, text: string): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="middle">${text}</text>`;
}

function shortCount(nodes: number): string {
  return nodes >= 1e6 ? `${(nodes / 1e6).toFixed(1)}M` : `${Math.round(nodes / 1000)}k`;
}
