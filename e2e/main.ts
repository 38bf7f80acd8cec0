import { join } from 'node:path';
import { createProgress } from '../images/coal/progress.ts';
import { MantaError } from '../lib/errors/manta-error.ts';
import { systemClock } from '../lib/lifecycle/clock.ts';
import { banner, describe } from './banner.ts';
import { removeCluster } from './cluster/cluster-process.ts';
import { controlCluster } from './cluster/control-client.ts';
import { clusterPlace, lockCluster } from './cluster/place.ts';
import { type CommandDeps, ensureUp, runHere, runInCluster, runningCluster } from './commands.ts';
import { DEFAULT_NODES, type E2eCommand, parseCommandLine, USAGE } from './config.ts';

// npm runs scripts in the directory of the package; this is where the user was.
const baseDir = process.env.INIT_CWD ?? process.cwd();
const print = (text: string) => void process.stdout.write(text);
const deps: CommandDeps = {
  place: clusterPlace(process.env),
  env: process.env,
  print,
  progress: createProgress({ clock: systemClock, write: print }),
};
const { place } = deps;
const root = join(import.meta.dirname, '..');

/** Resolves with the exit code. */
async function execute(command: E2eCommand): Promise<number> {
  if (command.kind === 'help') print(USAGE);
  else if (process.platform !== 'linux' || process.getuid?.() !== 0)
    throw new MantaError('Usage', 'needs Linux and root');
  switch (command.kind) {
    case 'help':
      return 0;
    case 'up':
      lockCluster(place);
      print(banner(await ensureUp(deps, { ...command, isKept: true }), place));
      return 0;
    case 'down':
      lockCluster(place);
      await remove();
      return 0;
    case 'status': {
      const status = await runningCluster(place);
      print(status === undefined ? 'No cluster is up.\n' : describe(status));
      return status === undefined ? 1 : 0;
    }
    case 'run':
      return runInCluster(deps, command.argv, baseDir);
    case 'order':
      return order(command.order);
    case 'test':
      return test(command.args);
  }
}

async function order(order: Extract<E2eCommand, { kind: 'order' }>['order']): Promise<number> {
  const control = controlCluster(place.dir);
  try {
    if (order.kind !== 'exec') {
      await control.order(order);
      return 0;
    }
    const { code, stdout, stderr } = await control.exec(order.node, order.argv);
    process.stdout.write(stdout);
    process.stderr.write(stderr);
    return code;
  } finally {
    await control.close();
  }
}

/** Tests of how clusters are made and removed run on this machine, all others in a cluster's network. */
async function test(args: readonly string[]): Promise<number> {
  lockCluster(place);
  const jest = [process.execPath, '--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js'];
  const options = ['--passWithNoTests', ...args];
  const outside = await runHere([...jest, '--config', 'e2e/harness/jest.config.mjs', ...options], root);
  if (outside !== 0) return outside;
  const { isKept } = await ensureUp(deps, { nodes: DEFAULT_NODES, images: undefined, isKept: false });
  try {
    return await runInCluster(deps, [...jest, '--config', 'e2e/jest.config.mjs', ...options], root);
  } finally {
    if (!isKept) await remove();
  }
}

async function remove(): Promise<void> {
  const isGone = await deps.progress.step('removing the cluster', () => removeCluster(place));
  if (!isGone) print('  there was none\n');
}

try {
  process.exit(await execute(parseCommandLine(process.argv.slice(2), baseDir)));
} catch (error) {
  if (error instanceof MantaError) process.stderr.write(`Error: ${error.message}\n`);
  else console.error(error);
  if (error instanceof MantaError && error.code === 'Usage') process.stderr.write(`\n${USAGE}`);
  process.exit(error instanceof MantaError && error.code === 'Usage' ? 2 : 1);
}
