import { codeOf } from '../lib/errors/manta-error.ts';
import type { Kubernetes } from '../lib/kubernetes/kubernetes.ts';
import type { Clock } from '../lib/lifecycle/clock.ts';
import { type Invocation, parseCommandLine } from './command-line.ts';
import { commandsFor } from './commands.ts';
import { explainError } from './explain-error.ts';
import { createConfirm, type Terminal } from './terminal.ts';
import { helpOf, usageOf } from './usage.ts';

/** What the program touches. */
export interface World {
  /** Name by which it is called: some preselect a few commands. */
  readonly calledAs: string;
  /** To the API server of a context of the kubeconfig; undefined: the current one. */
  connect(context: string | undefined): Promise<Kubernetes>;
  /** What was asked for. */
  print(text: string): void;
  /** Where questions, progress and errors go. */
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** Runs one command line. The exit code: 0 ok, 1 failed or something is wrong, 2 not understood. operations.md §6. */
export async function runCli(args: readonly string[], world: World): Promise<number> {
  const commands = commandsFor(world.calledAs);
  const program = world.calledAs === 'manta-adm' ? 'manta-adm' : 'kubectl manta';
  const tell = (text: string) => void world.terminal.output.write(text);
  let invocation: Invocation;
  try {
    invocation = parseCommandLine(args, commands);
  } catch (error) {
    tell(`Error: ${explainError(error, undefined, undefined)}Help: ${program} --help\n`);
    return 2;
  }
  if (invocation.kind === 'help') {
    world.print(invocation.command === undefined ? usageOf(program, commands) : helpOf(program, invocation.command));
    return 0;
  }
  return carryOut(invocation, world, program, tell);
}

async function carryOut(
  { command, common, run }: Invocation & { readonly kind: 'run' },
  world: World,
  program: string,
  tell: (text: string) => void,
): Promise<number> {
  const { clock, random, signal } = world;
  let kubernetes: Kubernetes | undefined;
  let namespace: string | undefined;
  try {
    kubernetes = await world.connect(common.context);
    namespace = common.namespace ?? kubernetes.namespace;
    const confirm = createConfirm(world.terminal, { isSilent: common.yes === true, signal });
    const report = await run({
      kubernetes,
      namespace,
      clock,
      random,
      signal,
      confirm,
      tell: line => tell(`${line}\n`),
    });
    world.print(report.text);
    return report.isWrong === true ? 1 : 0;
  } catch (error) {
    if (signal.aborted) return 130;
    tell(`Error: ${explainError(error, command, namespace)}`);
    if (codeOf(error) !== 'Usage') return 1;
    tell(`Help: ${program} ${command.words.join(' ')} --help\n`);
    return 2;
  } finally {
    await kubernetes?.close();
  }
}
