/** Completion for shells, from the table: commands, flags, and the values of choices; everything else is completed as a file. */
import { flagName, type shells } from './names.js';
import type { Option } from './option.js';
import { type CommandName, commands, optionsOf } from './table.js';

type Shell = (typeof shells)[number];

interface Flag {
  readonly name: string;
  readonly help: string;
  /** Takes a value. */
  readonly takes: boolean;
  readonly choices: readonly string[];
}

export function completionFor(shell: Shell): string {
  if (shell === 'fish') return fish();
  return shell === 'zsh' ? `autoload -U +X bashcompinit && bashcompinit\n${bash()}` : bash();
}

const names = Object.keys(commands) as CommandName[];

function flagsOf(command: CommandName): Flag[] {
  return Object.entries<Option>(optionsOf(command))
    .filter(([, { positional }]) => !positional)
    .map(([name, { help, unit, placeholder }]) => {
      const takes = placeholder !== undefined;
      return { name: flagName(name), help, takes, choices: takes && unit.includes(' | ') ? unit.split(' | ') : [] };
    });
}

function bash(): string {
  const lists = names.map(
    (name) =>
      `    ${name}) flags='${flagsOf(name)
        .map((flag) => flag.name)
        .join(' ')} --help' ;;`,
  );
  const values = names.flatMap((name) =>
    flagsOf(name)
      .filter(({ choices }) => choices.length > 0)
      .map((flag) => `    '${name} ${flag.name}') words='${flag.choices.join(' ')}' ;;`),
  );
  return `# naan completion bash > /etc/bash_completion.d/naan
_naan() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]} flags='' words=''
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${names.join(' ')} help version --help --version' -- "$word"))
    return
  fi
  case "$command $before" in
${values.join('\n')}
  esac
  if [ -n "$words" ]; then
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    return
  fi
  case "$command" in
    help) flags='${names.join(' ')}' ;;
${lists.join('\n')}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$word")) ;;
    *) [ "$command" = help ] && COMPREPLY=($(compgen -W "$flags" -- "$word")) ;;
  esac
}
complete -o default -F _naan naan`;
}

function fish(): string {
  const quoted = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const lines = ['# naan completion fish > ~/.config/fish/completions/naan.fish'];
  for (const name of names) {
    lines.push(`complete -c naan -n __fish_use_subcommand -f -a ${name} -d ${quoted(commands[name].summary)}`);
    for (const flag of flagsOf(name)) {
      const value = flag.choices.length > 0 ? ` -x -a ${quoted(flag.choices.join(' '))}` : flag.takes ? ' -r' : '';
      const condition = quoted(`__fish_seen_subcommand_from ${name}`);
      lines.push(`complete -c naan -n ${condition} -l ${flag.name.slice(2)}${value} -d ${quoted(flag.help)}`);
    }
  }
  return lines.join('\n');
}
