/** The command line as commander sees it: built from the table, so that help and parsing cannot disagree with it. */
import { Command, CommanderError, Option as CommanderOption } from 'commander';
import { flagName, keyName } from '../options/names.js';
import type { Option, Options } from '../options/option.js';
import { type CommandName, commands, commonOptions, defaultOf, optionsOf } from '../options/table.js';
import { version } from '../version.js';

const overview = `
Options can also stand in a YAML file (--config) or in the environment (NAAN_MAX_SIZE=300);
flags win over the environment, the environment over the file.

A complete run:
  naan generate --out faces
  naan train --features faces/labeled/split0_feats.npz --knn faces/labeled/split0_knn.npy \\
             --out model.safetensors
  naan label --features faces/unlabeled/split1_feats.npz --knn faces/unlabeled/split1_knn.npy \\
             --model model.safetensors --out labels
  naan evaluate --labels labels/split1_labels.txt --truth faces/unlabeled/split1_labels.txt`;

/** The request of the user: a command with the flags that were given, or a text such as help. */
export type Asked = { readonly command: CommandName; readonly flags: Record<string, unknown> } | Usage;

export interface Usage {
  /** The text for stdout. */
  readonly text: string;
  readonly exitCode: 0 | 2;
}

/** Parses arguments (without node and script). A usage error goes to stderr in one line. */
export function parse(args: readonly string[]): Asked {
  let asked: Asked | undefined;
  let text = '';
  const program = new Command('naan')
    .description('Pseudo-labels for very large unlabelled face sets.')
    .version(version, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', overview)
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .configureOutput({
      writeOut: (part) => {
        text += part;
      },
      outputError: (message, write) => {
        const line = oneLine(message);
        write(`${args.includes('--json') ? usageError(line) : line}\n`);
      },
    })
    .exitOverride();

  for (const name of Object.keys(commands) as CommandName[]) {
    addCommand(program, name, (flags) => {
      asked = { command: name, flags };
    });
  }
  try {
    const [first] = args;
    if (first === undefined) program.outputHelp({ error: true });
    // Help of a command that there is not would be the help of all.
    else if (isUnknown(program, first)) program.parse([first], { from: 'user' });
    else {
      refuseFlagsAsValues(program, args);
      program.parse(first === 'version' ? ['--version'] : args, { from: 'user' });
    }
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { text, exitCode: error.exitCode === 0 ? 0 : 2 };
  }
  return asked ?? { text, exitCode: 2 };
}

function isUnknown(program: Command, name: string): boolean {
  return (
    !name.startsWith('-') && !['help', 'version'].includes(name) && !program.commands.some((c) => c.name() === name)
  );
}

/** commander takes whatever follows an option as its value, be it the next option: a file called --out is hardly ever meant. */
function refuseFlagsAsValues(program: Command, [name, ...args]: readonly string[]): void {
  const command = program.commands.find((one) => one.name() === name);
  if (command === undefined) return;
  const known = [...command.options.flatMap(({ long, short }) => [long, short]), '-h', '--help'];
  const end = args.indexOf('--');
  const given = end < 0 ? args : args.slice(0, end);
  for (const [i, flag] of given.entries()) {
    const option = command.options.find(({ long, short }) => flag === long || flag === short);
    const value = given[i + 1];
    if (!option?.required || value === undefined || !known.includes(value.split('=', 1)[0])) continue;
    const advice = `give a value, or ${flag}=${value} where that is meant`;
    command.error(`error: option '${option.flags}' got '${value}', which is an option itself: ${advice}`);
  }
}

function addCommand(program: Command, name: CommandName, onAsked: (flags: Record<string, unknown>) => void): void {
  const { summary, description, examples } = commands[name];
  const positional = Object.entries<Option>(commands[name].options).filter(([, option]) => option.positional);
  const command = program
    .command(name)
    .summary(summary)
    .description(description)
    .allowExcessArguments(false)
    .addHelpText('after', examplesText(examples))
    .optionsGroup('Options:');
  for (const [argument, { help }] of positional) command.argument(`<${argument}>`, help);
  addOptions(command, commands[name].options);
  command.optionsGroup('Options of every command:');
  addOptions(command, commonOptions);
  command.helpOption('-h, --help', 'print this help');
  command.configureHelp({ optionDescription: (option) => describe(option, optionsOf(name)) });
  command.action((...given: unknown[]) => {
    const flags = command.opts();
    positional.forEach(([argument], index) => {
      flags[argument] = given[index];
    });
    onAsked(flags);
  });
}

function addOptions(command: Command, options: Options): void {
  for (const [name, option] of Object.entries(options)) {
    if (option.positional) continue;
    const value = option.placeholder ? ` ${option.placeholder}` : '';
    command.addOption(new CommanderOption(flagName(name) + value));
    // A switch that the config file turned on must be possible to turn off.
    if (!option.placeholder) command.addOption(new CommanderOption(`--no-${keyName(name)}`).hideHelp());
  }
}

function describe(option: CommanderOption, options: Options): string {
  const described = options[option.attributeName()];
  if (!described) return option.description;
  const value = described.required ? 'required' : `default: ${defaultOf(described)}`;
  return `${described.help} [${described.unit}; ${value}]`;
}

function examplesText(examples: readonly (readonly [command: string, comment: string])[]): string {
  const lines = examples.map(([line, comment]) => (comment ? `  # ${comment}\n  ${line}` : `  ${line}`));
  return `\nExamples:\n${lines.join('\n')}\n\nA switch is turned off by --no-<name>. naan --help shows the other ways to give options.`;
}

/** A usage error in the form in which `--json` prints errors. */
function usageError(line: string): string {
  const fields = { level: 'error', event: 'error', code: 'BAD_USAGE', exitCode: 2 };
  return JSON.stringify({ time: new Date().toISOString(), ...fields, message: line.replace(/^naan: /, '') });
}

/** commander puts its suggestion on a line of its own. */
function oneLine(text: string): string {
  return text
    .trim()
    .replace(/^error: /, 'naan: ')
    .replace(/\n\(Did you mean (.*)\)$/, ' (did you mean $1)')
    .replaceAll('\n', ' ');
}
