import type { Command, OptionSet } from './command.ts';
import { commonOptions, withCommon } from './command-line.ts';

/** What `--help` prints: all commands, a line each. */
export function usageOf(program: string, commands: readonly Command[]): string {
  const lines = commands.map(command => [synopsis(command), command.help] as const);
  return `Operates a region of Manta with nothing but a kubeconfig.

  ${program} COMMAND [options]

${aligned(lines)}
Options of every command:
${aligned(optionLines(commonOptions))}
Exit code: 0 ok, 1 failed or something is wrong, 2 not understood.
`;
}

/** What `COMMAND --help` prints. */
export function helpOf(program: string, command: Command): string {
  return `${command.help}. Role: ${command.role}.

  ${program} ${synopsis(command)}

${aligned(optionLines(withCommon(command.options)))}`;
}

function synopsis({ words, operands, options }: Command): string {
  const own = Object.entries(options)
    .filter(([name]) => !['columns', 'no-header', 'json'].includes(name))
    .map(([name, { type, short }]) => {
      if (type === 'boolean') return `[${short === undefined ? `--${name}` : `-${short}`}]`;
      return `[--${name} ${name.toUpperCase()}]`;
    });
  return [...words, ...operands, ...own].join(' ');
}

function optionLines(options: OptionSet): (readonly [string, string])[] {
  return Object.entries(options).map(([name, { short, help }]) => [
    short === undefined ? `    --${name}` : `-${short}, --${name}`,
    help,
  ]);
}

function aligned(lines: readonly (readonly [string, string])[]): string {
  const width = Math.min(52, Math.max(...lines.map(([left]) => left.length)));
  return lines.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('');
}
