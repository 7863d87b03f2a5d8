import type { Regrouped } from '../cluster/compare.js';
import { type Difference, diff } from '../jobs/diff.js';
import type { Run } from './command.js';
import { count, table } from './format.js';

export const run: Run<'diff'> = async ({ before, after }, { log }) => {
  const found = await diff(before, after, log.warn);
  const { rows, same, parted, joined } = found;
  const facts = table([
    ['rows with a label in both', count(rows.both)],
    ['  only before', count(rows.onlyBefore)],
    ['  only after', count(rows.onlyAfter)],
    ['clusters that are the same', count(same)],
    ['  parted', count(parted)],
    ['  joined', count(joined)],
  ]);
  const parts = [
    described('options', found.options),
    described('inputs (digests)', found.inputs),
    described('results', found.results),
    described('surroundings', found.surroundings),
    facts,
    examples('parted', found.partedExamples, 'into'),
    examples('joined', found.joinedExamples, 'from'),
    found.identical ? 'the labels put the same rows together' : '',
  ];
  return { json: found, text: parts.filter((part) => part !== '').join('\n\n') };
};

function described(title: string, all: readonly Difference[]): string {
  if (all.length === 0) return `${title}: no difference`;
  return table([
    [title, 'before', 'after'],
    ...all.map(({ name, before, after }) => [`  ${name}`, short(before), short(after)]),
  ]);
}

function short(value: unknown): string {
  const text = value === null ? '-' : typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > 24 ? `${text.slice(0, 23)}…` : text;
}

const shownOthers = 6;

function examples(what: string, all: readonly Regrouped[], where: string): string {
  const lines = all.map(({ cluster, rows, others }) => {
    const shown = others.slice(0, shownOthers).map((other) => `${other.cluster} (${count(other.rows)})`);
    const more = others.length > shownOthers ? ` and ${count(others.length - shownOthers)} more` : '';
    return `  ${cluster} (${count(rows)} rows) ${where} ${shown.join(', ')}${more}`;
  });
  return lines.length === 0 ? '' : [`${what}, the largest:`, ...lines].join('\n');
}
