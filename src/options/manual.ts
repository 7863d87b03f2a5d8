/** docs/naan.1, the man page: every command with its options, from the table. */
import { flagName } from './names.js';
import type { Option, Options } from './option.js';
import { type CommandName, commands, commonOptions, defaultOf } from './table.js';

/** Exit codes, as docs/operate.md explains them. */
const exitCodes = [
  ['0', 'done'],
  ['1', 'failed'],
  ['2', 'bad usage or bad input'],
  ['3', 'memory that is not there'],
  ['4', 'a training that diverged'],
  ['129, 130, 143', 'ended by SIGHUP, SIGINT, SIGTERM'],
] as const;

export function manualPage(): string {
  const lines = [
    '.\\" Written by npm run docs from src/options/table.ts.',
    '.TH NAAN 1',
    '.SH NAME',
    'naan \\- pseudo-labels for very large unlabelled face sets',
    '.SH SYNOPSIS',
    '.B naan',
    '.I command',
    '.RI [ options ]',
    '.SH DESCRIPTION',
    text(
      'naan learns on labelled identities which neighbours of a kNN graph are one person, scores every edge of an unlabelled set, and ' +
        'cuts the scored graph into clusters. Options can also stand in a YAML file (--config) or in the environment ' +
        '(NAAN_MAX_SIZE=300); flags win over the environment, the environment over the file.',
    ),
    '.SH COMMANDS',
  ];
  for (const name of Object.keys(commands) as CommandName[]) {
    const { summary, description, options, examples } = commands[name];
    lines.push(`.SS naan ${text(name)}`, `${text(summary[0].toUpperCase() + summary.slice(1))}.`, text(description));
    lines.push(...optionLines(options));
    if (examples.length > 0) lines.push('.PP', '.nf', ...examples.map(([line]) => text(line)), '.fi');
  }
  lines.push('.SH OPTIONS OF EVERY COMMAND', ...optionLines(commonOptions), '.SH EXIT STATUS');
  for (const [code, meaning] of exitCodes) lines.push('.TP', `.B ${code}`, text(meaning));
  return `${lines.join('\n')}\n`;
}

function optionLines(options: Options): string[] {
  return Object.entries<Option>(options).flatMap(([name, option]) => {
    const given = option.positional ? name.toUpperCase() : flagName(name);
    const value = option.placeholder && !option.positional ? ` ${option.placeholder}` : '';
    const standing = option.required ? 'required' : `default: ${defaultOf(option)}`;
    return ['.TP', `.B ${text(given + value)}`, text(`${option.help} [${option.unit}; ${standing}]`)];
  });
}

/** A line that starts with a dot or a quote would be a request. */
function text(plain: string): string {
  return plain.replaceAll('\\', '\\e').replaceAll('-', '\\-').replace(/^[.']/, '\\&$&');
}
