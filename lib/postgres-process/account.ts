import { spawnSync } from 'node:child_process';
import { chownSync, lstatSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { MantaError } from '../errors/manta-error.ts';

/** How PostgreSQL, which refuses to run as root, is started from this process. */
export interface ServerAccount {
  /** Owner of its files; undefined: this process's own user. */
  readonly uid?: number;
  readonly gid?: number;
  /** Program and arguments to put before PostgreSQL's own. */
  readonly wrapper: readonly string[];
}

const NOBODY = 65534;

/** Ways in which a process of root's reaches what is root's alone, and yet is not root for PostgreSQL. */
const detours: readonly ServerAccount[] = [
  // Root stays the owner; in a user namespace it has another number.
  { uid: 0, gid: 0, wrapper: ['unshare', '--user', `--map-user=${NOBODY}`, `--map-group=${NOBODY}`] },
  // Where containers forbid namespaces: `nobody`, with the one right to pass through any directory.
  {
    uid: NOBODY,
    gid: NOBODY,
    wrapper: [
      'setpriv',
      `--reuid=${NOBODY}`,
      `--regid=${NOBODY}`,
      '--clear-groups',
      '--inh-caps=+dac_override',
      '--ambient-caps=+dac_override',
      // Or access(2), by which PostgreSQL looks for its own program, does not count the right.
      '--securebits=+no_setuid_fixup',
    ],
  },
];

/**
 * An ordinary user runs PostgreSQL as itself. Root drops to `nobody`; where that user could not even reach the files (a
 * clone below a private home directory), by one of the detours. Throws MantaError `PostgresAccount` where none works,
 * saying what to do.
 */
export function chooseAccount(paths: readonly string[]): ServerAccount {
  if (process.getuid?.() !== 0) return { wrapper: [] };
  const hidden = paths.map(path => firstHiddenFrom(NOBODY, path)).find(path => path !== undefined);
  if (hidden === undefined) return { uid: NOBODY, gid: NOBODY, wrapper: [] };
  const detour = detours.find(works);
  if (detour !== undefined) return detour;
  throw new MantaError(
    'PostgresAccount',
    `PostgreSQL does not run as root, other users may not enter ${hidden}, and this machine allows no way around: ` +
      'run as an ordinary user, or move the checkout and the state directory to where every user may read',
  );
}

function works({ wrapper }: ServerAccount): boolean {
  const [program = '', ...args] = [...wrapper, 'true'];
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}

/** Gives a tree to the account, unless it already belongs to it. Links are not followed. */
export function giveTo({ uid, gid }: ServerAccount, path: string): void {
  if (uid === undefined || gid === undefined || lstatSync(path).uid === uid) return;
  if (lstatSync(path).isDirectory())
    for (const name of readdirSync(path)) giveTo({ uid, gid, wrapper: [] }, join(path, name));
  // The top last: an interrupted change is then repeated.
  chownSync(path, uid, gid);
}

/** The outermost existing ancestor of `path` that `uid` may not pass through. */
function firstHiddenFrom(uid: number, path: string): string | undefined {
  const parent = dirname(path);
  if (parent === path) return undefined;
  const above = firstHiddenFrom(uid, parent);
  if (above !== undefined) return above;
  const found = statSync(parent, { throwIfNoEntry: false });
  if (found === undefined || (found.mode & 0o001) !== 0 || (found.uid === uid && (found.mode & 0o100) !== 0))
    return undefined;
  return parent;
}
