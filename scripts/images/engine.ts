import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { run, works } from './run.ts';

/** What builds images, whichever of Docker, Podman and Buildah a machine has. */
export interface Engine {
  readonly kind: 'docker' | 'podman' | 'buildah';
  has(reference: string): Promise<boolean>;
  /** Builds from a directory; `file` is its Dockerfile, absolute. */
  build(reference: string, file: string, context: string): Promise<void>;
  /** Writes what `docker load` reads. */
  archive(reference: string, file: string): Promise<void>;
  /** Sends it to a registry under another name. */
  push(reference: string, target: string): Promise<void>;
  /** Runs a command of Buildah's, where that is what there is: bases are made with it. */
  readonly buildah: ((args: readonly string[]) => Promise<string>) | undefined;
  /** Undoes what it has left mounted. */
  close(): Promise<void>;
}

/**
 * Docker if its daemon answers, else Podman, else Buildah, which needs neither a daemon nor, as root, anything of the
 * kernel that sandboxes withhold. Buildah is installed where this process is root and there is apt. `directory` is where
 * it keeps its images, `log` where all of them write what they say. Throws MantaError `NoImageBuilder`.
 */
export async function findEngine(directory: string, log: string): Promise<Engine> {
  if (await works('docker', ['info'])) return daemonEngine('docker', log);
  if (await works('podman', ['info'])) return daemonEngine('podman', log);
  const isRoot = process.getuid?.() === 0;
  if (!(await works('buildah', ['--version'])) && isRoot && (await works('apt-get', ['--version']))) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await run('apt-get', ['update', '--quiet'], { log, env });
    await run('apt-get', ['install', '--yes', '--quiet', '--no-install-recommends', 'buildah'], { log, env });
  }
  if (!isRoot || !(await works('buildah', ['--version']))) {
    throw new MantaError(
      'NoImageBuilder',
      'nothing here builds images: start Docker or install Podman; as root, Buildah does as well (apt-get install buildah)',
    );
  }
  return buildahEngine(directory, log);
}

function daemonEngine(kind: 'docker' | 'podman', log: string): Engine {
  return {
    kind,
    has: reference => works(kind, ['image', 'inspect', reference]),
    build: async (reference, file, context) => {
      await run(kind, ['build', '--tag', reference, '--file', file, context], { log });
    },
    archive: async (reference, file) => {
      const format = kind === 'podman' ? ['--format', 'docker-archive'] : [];
      await run(kind, ['save', ...format, '--output', file, reference], { log });
    },
    push: async (reference, target) => {
      await run(kind, ['tag', reference, target], { log });
      await run(kind, ['push', target], { log });
    },
    buildah: undefined,
    close: async () => {},
  };
}

/** In a store of its own, so that the machine's is not touched. */
function buildahEngine(directory: string, log: string): Engine {
  mkdirSync(directory, { recursive: true });
  const policy = join(directory, 'policy.json');
  const registries = join(directory, 'registries.conf');
  writeFileSync(policy, '{"default":[{"type":"insecureAcceptAnything"}]}\n');
  writeFileSync(registries, 'unqualified-search-registries = []\n');
  const place = ['--root', join(directory, 'store'), '--runroot', join(directory, 'run')];
  const env = {
    ...process.env,
    BUILDAH_ISOLATION: 'chroot',
    STORAGE_DRIVER: process.env.STORAGE_DRIVER ?? 'overlay',
    CONTAINERS_REGISTRIES_CONF: registries,
  };
  const buildah = (args: readonly string[]) => run('buildah', [...place, ...args], { env, log });
  const trust = ['--signature-policy', policy];
  return {
    kind: 'buildah',
    has: reference => works('buildah', [...place, 'inspect', '--type', 'image', reference], env),
    build: async (reference, file, context) => {
      await buildah(['bud', ...trust, '--layers', '--tag', reference, '--file', file, context]);
    },
    archive: async (reference, file) => {
      rmSync(file, { force: true });
      await buildah(['push', ...trust, '--quiet', reference, `docker-archive:${file}:${reference}`]);
    },
    push: async (reference, target) => {
      await buildah(['push', ...trust, reference, `docker://${target}`]);
    },
    buildah: ([command = '', ...rest]) =>
      buildah(['from', 'commit'].includes(command) ? [command, ...trust, ...rest] : [command, ...rest]),
    close: () => unmountBelow(directory),
  };
}

/** Buildah leaves a bind mount of its store, and a build that was killed its container. */
async function unmountBelow(directory: string): Promise<void> {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map(line => line.split(' ')[1] ?? '')
    .filter(target => target.startsWith(`${directory}/`));
  for (const target of mounts.sort().reverse()) await run('umount', [target]).catch(() => {});
}
