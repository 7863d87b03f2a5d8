import { environmentName, flagName, keyName } from './names.js';
import type { Option, Options } from './option.js';
import { type CommandName, commands, commonOptions, defaultOf } from './table.js';

/** docs/options.md: every option of every command, from the table. */
export function optionsReference(): string {
  const parts = [
    '# Options',
    'Generated from `src/options/table.ts` by `npm run docs`. Later sources win: defaults, the YAML file of `--config`, ' +
      'the environment, flags. One file or environment may serve several commands; a name that no command knows is an error.',
    'Switches take no value as flags (`--save-edges`, `--no-save-edges`) and yes or no elsewhere (`NAAN_SAVE_EDGES=yes`, `save-edges: true`).',
  ];
  for (const name of Object.keys(commands) as CommandName[]) {
    const { summary, options } = commands[name];
    parts.push(`## naan ${name}`, `${summary[0].toUpperCase()}${summary.slice(1)}.`, optionTable(options));
  }
  parts.push('## Every command', optionTable(commonOptions));
  return `${parts.join('\n\n')}\n`;
}

function optionTable(options: Options): string {
  const rows = Object.entries<Option>(options).map(([name, option]) =>
    [...namesOf(name, option), option.unit, defaultOf(option), option.help].map(cell).join(' | '),
  );
  return ['flag | environment | config key | unit | default | meaning', '--- | --- | --- | --- | --- | ---', ...rows]
    .map((row) => `| ${row} |`)
    .join('\n');
}

function namesOf(name: string, option: Option): string[] {
  if (option.positional) return [`\`${name.toUpperCase()}\``, '', ''];
  const value = option.placeholder ? ` ${option.placeholder}` : '';
  const key = name === 'config' ? '' : `\`${keyName(name)}\``;
  return [`\`${flagName(name)}${value}\``, `\`${environmentName(name)}\``, key];
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
