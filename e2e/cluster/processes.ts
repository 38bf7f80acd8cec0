import { readFileSync } from 'node:fs';

/** The processes that a process has started, by the numbers of this process's namespace. */
export function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** The namespaces that a node's or the cluster's processes have of their own, as options of `nsenter`. */
const NAMESPACES = ['--mount', '--net', '--pid', '--uts', '--ipc'];

/** The command, run in the namespaces of a process. `nsenter` stays as its parent and ends as it ends. */
export function inNamespacesOf(pid: number, argv: readonly string[]): string[] {
  return ['nsenter', '--target', String(pid), ...NAMESPACES, '--', ...argv];
}

/**
 * The command, run as the first process of new namespaces: when it ends or is killed, the kernel kills all others in
 * them, and their mounts and network are gone. It is killed when `unshare`, its parent, is.
 */
export function inNewNamespaces(argv: readonly string[]): string[] {
  return ['unshare', ...NAMESPACES, '--fork', '--kill-child', '--', ...argv];
}
