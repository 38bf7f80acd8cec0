import type { ParseArgsConfig, parseArgs } from 'node:util';
import type { Kubernetes } from '../lib/kubernetes/kubernetes.ts';
import type { Clock } from '../lib/lifecycle/clock.ts';

/** What a command works with. */
export interface CommandContext {
  readonly kubernetes: Kubernetes;
  /** The region's. */
  readonly namespace: string;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Aborted when the user no longer waits. */
  readonly signal: AbortSignal;
  /** Shows how far something is, beside the output. */
  tell(line: string): void;
  /**
   * Says what is about to be done and has it confirmed, by `expected` typed in full or else by `y`; with `-y` by nobody.
   * Throws MantaError `NotConfirmed`, and `Usage` where nobody can be asked.
   */
  confirm(plan: string, expected?: string): Promise<void>;
}

/** What a command prints. */
export interface Report {
  readonly text: string;
  /** Something is not as it should be: the exit code is 1. */
  readonly isWrong?: boolean;
}

/** Options as `parseArgs` takes them, each with its help. */
export type OptionSet = Readonly<
  Record<string, NonNullable<ParseArgsConfig['options']>[string] & { readonly help: string }>
>;
/** What is given for them. */
export type Values<Options extends OptionSet> = ReturnType<typeof parseArgs<{ options: Options }>>['values'];

/**
 * Role of people, the least one that suffices: operations.md §5.2. The last is Kubernetes' own, for what only those can do
 * who may read the Secrets of the namespace.
 */
export type Role = 'manta-viewer' | 'manta-operate' | 'manta-admin' | 'admin of the namespace';

/** A command of `kubectl manta`. */
export interface Command<Options extends OptionSet = OptionSet> {
  /** Such as `shard status`. */
  readonly words: readonly string[];
  /** Names of what follows the words, `[N]` where it may be left out, `PATH...` where there may be more. */
  readonly operands: readonly string[];
  readonly options: Options;
  /** A line. */
  readonly help: string;
  readonly role: Role;
  run(context: CommandContext, operands: readonly string[], values: Values<Options>): Promise<Report>;
}

/** A command whose options are typed within, and nobody's concern outside. */
export function defineCommand<const Options extends OptionSet>(command: Command<Options>): Command {
  // The values come from the parser that was given exactly these options.
  return command as unknown as Command;
}

/** Options of commands that list. */
export const listOptions = {
  columns: { type: 'string', short: 'o', help: 'COLS: these columns, by name, with commas' },
  'no-header': { type: 'boolean', short: 'H', help: 'no line of headers' },
  json: { type: 'boolean', short: 'j', help: 'JSON; without -o all columns' },
} as const satisfies OptionSet;

/** What a listing is asked for by `listOptions`. */
export function formatOf(values: Values<typeof listOptions>) {
  return {
    ...(values.columns === undefined ? {} : { columns: values.columns.split(',') }),
    header: values['no-header'] !== true,
    json: values.json === true,
  };
}
