import { type ParseArgsConfig, parseArgs } from 'node:util';
import { codeOf, MantaError } from '../lib/errors/manta-error.ts';
import type { Command, CommandContext, OptionSet, Report, Values } from './command.ts';

/** Options of every command. */
export const commonOptions = {
  namespace: { type: 'string', short: 'n', help: 'NAME: namespace of the region; default: the context’s' },
  context: { type: 'string', help: 'NAME: context of the kubeconfig; default: the current one' },
  yes: { type: 'boolean', short: 'y', help: 'no questions' },
  help: { type: 'boolean', short: 'h', help: 'this text, or that of a command' },
} as const satisfies OptionSet;

/** A command line that has been understood. */
export type Invocation =
  | { readonly kind: 'help'; readonly command?: Command }
  | {
      readonly kind: 'run';
      readonly command: Command;
      readonly common: Values<typeof commonOptions>;
      run(context: CommandContext): Promise<Report>;
    };

/** Understands a command line. Throws MantaError `Usage` with a message for people. */
export function parseCommandLine(args: readonly string[], commands: readonly Command[]): Invocation {
  const wordsAt = firstWordOf(args);
  const before = parse(args.slice(0, wordsAt), commonOptions);
  const rest = args.slice(wordsAt);
  const command = commands.find(({ words }) => words.every((word, at) => rest[at] === word));
  if (rest.length === 0 || (command === undefined && rest.some(arg => arg === '-h' || arg === '--help'))) {
    return { kind: 'help' };
  }
  if (command === undefined) throw unknownCommand(rest, commands);
  const { values: own, positionals } = parse(rest.slice(command.words.length), withCommon(command.options));
  const values = { ...before.values, ...own };
  if (values.help === true) return { kind: 'help', command };
  checkOperands(command, positionals);
  const common = values as Values<typeof commonOptions>;
  return { kind: 'run', command, common, run: context => command.run(context, positionals, values) };
}

/** A short name that a command has for itself is then not the common one's. */
export function withCommon(options: OptionSet): OptionSet {
  const taken = new Set(Object.values(options).map(({ short }) => short));
  const rest = Object.entries<OptionSet[string]>(commonOptions).map(([name, option]) => {
    if (option.short === undefined || !taken.has(option.short)) return [name, option] as const;
    const { short: _, ...long } = option;
    return [name, long] as const;
  });
  return { ...options, ...Object.fromEntries(rest) };
}

/** Where the words of the command begin: at what is neither a common option nor its value. */
function firstWordOf(args: readonly string[]): number {
  const { tokens } = parseArgs({
    args: [...args],
    options: configOf(commonOptions),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  return tokens.find(({ kind }) => kind === 'positional')?.index ?? args.length;
}

function checkOperands({ words, operands }: Command, given: readonly string[]): void {
  const least = operands.filter(name => !name.startsWith('[')).length;
  const most = operands.at(-1)?.endsWith('...') ? Number.POSITIVE_INFINITY : operands.length;
  if (given.length >= least && given.length <= most) return;
  throw new MantaError('Usage', `${words.join(' ')} takes ${operands.join(' ') || 'nothing more'}`);
}

function unknownCommand(args: readonly string[], commands: readonly Command[]): MantaError {
  const words = args.filter(arg => !arg.startsWith('-'));
  const next = commands.filter(command => command.words[0] === words[0] && command.words.length > 1);
  const what =
    next.length === 0
      ? `there is no command "${words.join(' ')}"`
      : `after "${words[0]}" comes one of: ${next.map(command => command.words[1]).join(', ')}`;
  return new MantaError('Usage', what);
}

function parse(args: readonly string[], options: OptionSet) {
  try {
    return parseArgs({ args: [...args], options: configOf(options), allowPositionals: true });
  } catch (cause) {
    if (!codeOf(cause)?.startsWith('ERR_PARSE_ARGS')) throw cause;
    throw new MantaError('Usage', (cause as Error).message.split('. To specify')[0] ?? '');
  }
}

function configOf(options: OptionSet): NonNullable<ParseArgsConfig['options']> {
  return Object.fromEntries(Object.entries(options).map(([name, { help: _, ...option }]) => [name, option]));
}
