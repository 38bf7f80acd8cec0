import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Progress } from '../images/coal/progress.ts';
import { MantaError } from '../lib/errors/manta-error.ts';
import { endsWithParent } from '../lib/lifecycle/ends-with-parent.ts';
import { type ClusterWish, firstProcess, removeCluster, startCluster } from './cluster/cluster-process.ts';
import { controlCluster } from './cluster/control-client.ts';
import { archiveProgram, COREDNS_IMAGE, PAUSE_IMAGE, PROBE_IMAGE } from './cluster/images.ts';
import type { ClusterStatus } from './cluster/orders.ts';
import { installPackages } from './cluster/packages.ts';
import { type ClusterPlace, kubeconfigOf, newestArchives } from './cluster/place.ts';
import { inNamespacesOf } from './cluster/processes.ts';
import { type ClusterPrograms, findClusterPrograms } from './cluster/programs.ts';

export interface CommandDeps {
  readonly progress: Progress;
  readonly place: ClusterPlace;
  readonly env: NodeJS.ProcessEnv;
  readonly print: (text: string) => void;
}

export interface ClusterSize {
  readonly nodes: number;
  /** Archives of images; undefined: the newest that there are. */
  readonly images: readonly string[] | undefined;
  /** Without, it ends with this process. */
  readonly isKept: boolean;
}

const ZONES = ['zone-a', 'zone-b', 'zone-c'];
const VOLUMES_PER_NODE = 12;

/**
 * Sees to it that a cluster is up, and resolves with its status. One that is up already is taken as it is, and given the
 * images that it lacks; what a killed one has left is removed first. The caller holds the lock. Throws MantaErrors that say what to do.
 */
export async function ensureUp(deps: CommandDeps, size: ClusterSize): Promise<ClusterStatus> {
  const { place } = deps;
  const found = await runningCluster(place);
  if (found !== undefined) {
    deps.print(`  a cluster of ${found.nodes.length} nodes is up already\n`);
    await bringImagesUpToDate(deps, found, size);
    return found;
  }
  if (await removeCluster(place)) deps.print('  removed what an earlier cluster had left\n');
  await installPackages(deps);
  const programs = await findClusterPrograms(deps);
  const wish: ClusterWish = {
    name: place.name,
    dir: place.dir,
    nodes: size.nodes,
    zones: ZONES,
    volumesPerNode: VOLUMES_PER_NODE,
    archives: [...(await ownArchives(place, programs)), ...(size.images ?? newestArchives(place.archives))],
    templates: place.templates,
    isKept: size.isKept,
  };
  const begun = performance.now();
  const forget = removeOnSignal(place);
  await startCluster(wish, programs, deps.print);
  if (size.isKept) forget();
  deps.print(`  up after ${((performance.now() - begun) / 1_000).toFixed(1)} s\n`);
  const status = await runningCluster(place);
  if (status === undefined) throw new MantaError('ClusterStart', `the cluster has come up and gone: see ${place.dir}`);
  return status;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const EXIT_INTERRUPTED = 130;

/** From now on a signal removes the cluster and ends this process. Returns what makes it not so. */
function removeOnSignal(place: ClusterPlace): () => void {
  let isRemoving = false;
  const remove = () => {
    if (isRemoving) return;
    isRemoving = true;
    removeCluster(place).then(
      () => process.exit(EXIT_INTERRUPTED),
      () => process.exit(1),
    );
  };
  for (const signal of SIGNALS) process.on(signal, remove);
  return () => {
    for (const signal of SIGNALS) process.off(signal, remove);
  };
}

/** The status of the cluster that is up; undefined when none is, or one that is not whole. */
export async function runningCluster(place: ClusterPlace): Promise<ClusterStatus | undefined> {
  if (firstProcess(place.name) === undefined) return undefined;
  const control = controlCluster(place.dir);
  try {
    const status = await control.status();
    return status.isUp ? status : undefined;
  } catch {
    return undefined;
  } finally {
    await control.close();
  }
}

async function bringImagesUpToDate(deps: CommandDeps, status: ClusterStatus, { images }: ClusterSize): Promise<void> {
  const wanted = images ?? newestArchives(deps.place.archives);
  const archives = wanted.filter(archive => !status.archives.includes(archive));
  if (archives.length === 0) return;
  const control = controlCluster(deps.place.dir);
  try {
    await deps.progress.step('new images', () => control.order({ kind: 'load', archives }));
  } finally {
    await control.close();
  }
}

/** The images that every cluster needs. They are not among those that `npm run images` looks after. */
function ownArchives({ templates }: ClusterPlace, { images }: ClusterPrograms): Promise<string[]> {
  const dir = join(templates, 'archives');
  return Promise.all([
    archiveProgram(dir, { image: PAUSE_IMAGE, program: images.pause, user: '65532:65532' }),
    archiveProgram(dir, { image: COREDNS_IMAGE, program: images.coredns, user: '0:0' }),
    archiveProgram(dir, { image: PROBE_IMAGE, program: images.probe, user: '0:0' }),
  ]);
}

/** What a command needs to know of the cluster: where its API is, and its own kubectl and helm. */
function clusterEnvironment(place: ClusterPlace, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return {
    ...env,
    PATH: `${join(place.dir, 'programs', 'bin')}:${env.PATH}`,
    KUBECONFIG: kubeconfigOf(place),
    MANTA_E2E_DIR: place.dir,
  };
}

/** Runs a command that ends with this process, and resolves with its exit code. */
export async function runHere(argv: readonly string[], cwd: string, env = process.env): Promise<number> {
  const [program = '', ...args] = [...endsWithParent(), ...argv];
  const child = spawn(program, args, { cwd, env, stdio: 'inherit' });
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}

/**
 * Runs a command in the cluster's namespaces, where Services and pods answer under their names and addresses and this
 * machine's files are. Resolves with its exit code. It ends with this process. Throws MantaError `NoCluster`.
 */
export function runInCluster(deps: CommandDeps, argv: readonly string[], cwd: string): Promise<number> {
  const pid = firstProcess(deps.place.name);
  if (pid === undefined) throw new MantaError('NoCluster', 'no cluster is up: npm run e2e -- up');
  const inside = ['sh', '-c', 'cd "$0" && exec "$@"', cwd, ...endsWithParent(), ...argv];
  return runHere(inNamespacesOf(pid, inside), cwd, clusterEnvironment(deps.place, deps.env));
}
