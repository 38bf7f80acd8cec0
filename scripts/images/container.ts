import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageStart } from './root-fs.ts';

export interface ContainerConfig {
  readonly root: string;
  readonly start: ImageStart;
  readonly args: readonly string[];
  readonly env?: readonly string[];
  /** In place of the image's own. */
  readonly command?: readonly string[];
  /** Directories of this machine, by where they are in the container. All else but these cannot be written. */
  readonly writable: Readonly<Record<string, string>>;
  readonly readOnly: Readonly<Record<string, string>>;
}

/** A process of an image. */
export interface Container {
  /** What it has said, both streams. */
  output(): string;
  /** How it ended. */
  readonly ended: Promise<string>;
  terminate(): void;
  kill(): void;
}

/**
 * Starts an image's program much as a container runtime does under the pod security profile *restricted*: mount and
 * process namespaces of its own, a read-only root file system, the image's user, no capabilities, none to be had. The
 * network is this machine's.
 */
export function startContainer(config: ContainerConfig): Container {
  const { root, start, args, writable, readOnly } = config;
  const binds = [
    ...Object.entries(writable).map(([target, source]) => ({ target, source, mode: 'rw' })),
    ...Object.entries(readOnly).map(([target, source]) => ({ target, source, mode: 'ro' })),
  ];
  for (const { target } of binds) mkdirSync(join(root, target), { recursive: true });
  for (const path of ['dev', 'proc', 'tmp']) mkdirSync(join(root, path), { recursive: true });
  const mounts = binds.map(
    ({ target, source, mode }) =>
      `mount --bind ${source} ${join(root, target)} && mount -o remount,bind,nosuid,nodev,${mode} ${join(root, target)}`,
  );
  const devices = ['null', 'zero', 'full', 'random', 'urandom'].map(
    name => `touch ${root}/dev/${name} && mount --bind /dev/${name} ${root}/dev/${name}`,
  );
  const script = [
    'set -e',
    `mount --bind ${root} ${root}`,
    `mount -t tmpfs -o nosuid,mode=755 tmpfs ${root}/dev`,
    ...devices,
    `mkdir ${root}/dev/shm && mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs ${root}/dev/shm`,
    `ln -s /proc/self/fd ${root}/dev/fd`,
    `mount -t proc proc ${root}/proc`,
    ...mounts,
    `mount -o remount,bind,ro ${root}`,
    `exec env -i "$@"`,
  ].join('\n');
  const [uid, gid = uid] = start.user.split(':');
  const user = [`--reuid=${uid}`, `--regid=${gid}`, `--groups=${gid}`];
  const enter = ['chroot', root, 'setpriv', ...user, '--no-new-privs', '--bounding-set=-all', '--inh-caps=-all'];
  const inside = ['env', `--chdir=${start.workingDir}`, ...(config.command ?? start.entrypoint), ...args];
  const child = spawn(
    'unshare',
    [
      ...['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private', 'sh', '-c', script, 'sh'],
      ...[...start.env, ...(config.env ?? [])],
      ...enter,
      ...inside,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  return watch(child);
}

function watch(child: ChildProcess): Container {
  let output = '';
  const keep = (chunk: Buffer) => {
    output += chunk;
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  const ended = once(child, 'close').then(([code, signal]) => `ended with ${signal ?? code}`);
  return {
    output: () => output,
    ended,
    terminate: () => {
      // The child of unshare is the container's first process.
      const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
      if (children !== '') process.kill(Number(children.split(' ')[0]), 'SIGTERM');
    },
    kill: () => void child.kill('SIGKILL'),
  };
}
