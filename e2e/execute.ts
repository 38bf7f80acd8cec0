import { join } from 'node:path';
import { MantaError } from '../lib/errors/manta-error.ts';
import { banner, describe } from './banner.ts';
import { removeCluster } from './cluster/cluster-process.ts';
import { controlCluster } from './cluster/control-client.ts';
import type { Order } from './cluster/orders.ts';
import { type ClusterPlace, lockCluster } from './cluster/place.ts';
import { type CommandDeps, ensureUp, runHere, runInCluster, runningCluster } from './commands.ts';
import { DEFAULT_NODES, type E2eCommand, USAGE } from './config.ts';

const ROOT = join(import.meta.dirname, '..');

/**
 * Carries out what the command line asks for; a command that is run is run in `baseDir`. Resolves with the exit code.
 * Throws MantaErrors for people.
 */
export async function execute(deps: CommandDeps, command: E2eCommand, baseDir: string): Promise<number> {
  const { place, print } = deps;
  if (command.kind === 'help') {
    print(USAGE);
    return 0;
  }
  if (process.platform !== 'linux' || process.getuid?.() !== 0) throw new MantaError('NotRoot', 'needs Linux and root');
  switch (command.kind) {
    case 'up':
      print(banner(await locked(place, () => ensureUp(deps, { ...command, isKept: true })), place));
      return 0;
    case 'down':
      await locked(place, () => remove(deps));
      return 0;
    case 'status': {
      const status = await runningCluster(place);
      print(status === undefined ? 'No cluster is up.\n' : describe(status));
      return status === undefined ? 1 : 0;
    }
    case 'run':
      return runInCluster(deps, command.argv, baseDir);
    case 'order':
      return give(command.order, place);
    case 'test':
      return locked(place, () => test(deps, command.args));
  }
}

/** One process at a time makes or removes the cluster. */
async function locked<T>(place: ClusterPlace, work: () => Promise<T>): Promise<T> {
  const lock = lockCluster(place);
  try {
    return await work();
  } finally {
    lock.release();
  }
}

async function give(order: Order, place: ClusterPlace): Promise<number> {
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
async function test(deps: CommandDeps, args: readonly string[]): Promise<number> {
  const jest = [process.execPath, '--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js'];
  const options = ['--passWithNoTests', ...args];
  const outside = await runHere([...jest, '--config', 'e2e/harness/jest.config.mjs', ...options], ROOT);
  if (outside !== 0) return outside;
  const { isKept } = await ensureUp(deps, { nodes: DEFAULT_NODES, images: undefined, isKept: false });
  try {
    return await runInCluster(deps, [...jest, '--config', 'e2e/jest.config.mjs', ...options], ROOT);
  } finally {
    if (!isKept) await remove(deps);
  }
}

async function remove({ place, progress, print }: CommandDeps): Promise<void> {
  const wasThere = await progress.step('removing the cluster', () => removeCluster(place));
  if (!wasThere) print('  there was none\n');
}
