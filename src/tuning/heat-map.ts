/** The speeds of all settings as one self-contained SVG: batch by shards, a panel for each value of the others. */
import { type DimensionName, dimensions, optionsOf, type Setting } from './settings.js';

export interface Mapped {
  readonly nodes: number;
  /** Nodes of the sample that all were timed on. */
  readonly sample: number;
  readonly trials: readonly {
    readonly setting: Setting;
    /** Times as fast as the defaults. */
    readonly speed: number;
    /** Rounds that decided; 0 for settings that were timed once or twice. */
    readonly rounds: number;
  }[];
  /** One of the trials. */
  readonly best: { readonly setting: Setting };
}

const [columnsBy, rowsBy] = ['shards', 'batch'] as const satisfies DimensionName[];
const cell = { width: 96, height: 36 };
const margin = { left: 104, top: 64, right: 24, bottom: 68, between: 44 };

/** Settings without a trial stay blank; those that took part in the rounds that decided are bold. */
export function heatMap({ trials, best: { setting: best }, nodes, sample }: Mapped, title: string): string {
  const columns = valuesOf(columnsBy);
  const rows = valuesOf(rowsBy);
  const panels = panelSettings().filter((panel) => trials.some(({ setting }) => isOf(panel, setting)));
  const panelHeight = rows.length * cell.height + margin.between;
  const width = margin.left + columns.length * cell.width + margin.right;
  const height = margin.top + panels.length * panelHeight + margin.bottom - margin.between;
  const fastest = Math.max(...trials.map(({ speed }) => speed));
  const key = (setting: Setting) => dimensions.map(({ name }) => setting[name]).join();
  const bySetting = new Map(trials.map((trial) => [key(trial.setting), trial]));

  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" font-family="sans-serif" font-size="12">`,
    '<!-- drawn by naan -->',
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="16" y="24" font-weight="bold">${escaped(title)}</text>`,
  ];
  panels.forEach((panel, p) => {
    const top = margin.top + p * panelHeight;
    const name = Object.entries(panel).map(([dimension, value]) => `${dimension} ${value}`);
    lines.push(`<text x="${margin.left}" y="${top - 10}" font-weight="bold">${escaped(name.join(', '))}</text>`);
    rows.forEach((row, r) => {
      const y = top + r * cell.height;
      lines.push(`<text x="${margin.left - 8}" y="${y + 23}" text-anchor="end">${row}</text>`);
      columns.forEach((column, c) => {
        const setting = { ...panel, [columnsBy]: column, [rowsBy]: row } as Setting;
        lines.push(drawCell(margin.left + c * cell.width, y, bySetting.get(key(setting)), fastest));
      });
    });
    const [r, c] = [rows.indexOf(best[rowsBy]), columns.indexOf(best[columnsBy])];
    if (isOf(panel, best)) {
      const at = `x="${margin.left + c * cell.width}" y="${top + r * cell.height}"`;
      const size = `width="${cell.width}" height="${cell.height}"`;
      lines.push(`<rect ${at} ${size} fill="none" stroke="#ff725c" stroke-width="3"/>`);
    }
  });
  const foot = height - margin.bottom + 16;
  columns.forEach((column, c) => {
    const x = margin.left + (c + 0.5) * cell.width;
    const count = optionsOf({ ...best, [columnsBy]: column }, nodes)[columnsBy];
    lines.push(`<text x="${x}" y="${foot}" text-anchor="middle">${count}</text>`);
  });
  lines.push(
    `<text x="${margin.left - 8}" y="${foot}" text-anchor="end">batch / shards</text>`,
    `<text x="16" y="${foot + 22}">times as fast as the defaults on ${sample.toLocaleString('en')} rows;</text>`,
    `<text x="16" y="${foot + 38}">bold: timed again and again; the choice is outlined</text>`,
    '</svg>\n',
  );
  return lines.join('\n');
}

function valuesOf(name: DimensionName): (number | string)[] {
  const values: readonly (number | string)[] = dimensions.find((dimension) => dimension.name === name)!.values;
  return values.toSorted((a, b) =>
    typeof a === 'number' && typeof b === 'number' ? a - b : typeof a === 'number' ? 1 : -1,
  );
}

type Panel = Readonly<Record<string, number | string>>;

function isOf(panel: Panel, setting: Setting): boolean {
  return Object.entries(panel).every(([name, value]) => setting[name as DimensionName] === value);
}

/** Values of the dimensions that are neither rows nor columns, in all combinations, those of the defaults first. */
function panelSettings(): Panel[] {
  let panels: Panel[] = [{}];
  for (const { name, values } of dimensions) {
    if (name === columnsBy || name === rowsBy) continue;
    panels = panels.flatMap((panel) => values.map((value) => ({ ...panel, [name]: value })));
  }
  return panels;
}

/** A cell from white, for half the greatest speed or less, to blue for the greatest. */
function drawCell(x: number, y: number, trial: Mapped['trials'][number] | undefined, fastest: number): string {
  const box = `x="${x + 1}" y="${y + 1}" width="${cell.width - 2}" height="${cell.height - 2}"`;
  if (!trial) return `<rect ${box} fill="none" stroke="#ddd" stroke-dasharray="3 3"/>`;
  const { speed, rounds } = trial;
  const depth = Math.max(0, Math.min(1, 2 * (speed / fastest) - 1));
  const shade = [66, 105, 208].map((channel) => Math.round(244 + (channel - 244) * depth));
  const weight = rounds > 0 ? ' font-weight="bold"' : '';
  const at = `x="${x + cell.width / 2}" y="${y + 23}" text-anchor="middle"${weight}`;
  return (
    `<rect ${box} fill="rgb(${shade})"/>` +
    `<text ${at} fill="${depth > 0.6 ? '#fff' : '#222'}">${speed.toFixed(2)}</text>`
  );
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
