import { chmod, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';
import { own } from './site.ts';

/**
 * Fetches a file for a server in recovery. False: there is none, for certain; the server then takes the archive to be at
 * its end, and goes on with what it has. What rejects ends the recovery instead.
 */
export type FetchWal = (name: string, to: string) => Promise<boolean>;

/** The other side of `restore_command`. */
export interface WalExchange {
  readonly restoreCommand: string;
  /** Rejects with what `fetch` rejected with. Resolves on abort. */
  serve(signal: AbortSignal): Promise<void>;
  /** A `restore_command` that still waits ends the recovery, also one whose server is gone. */
  close(): Promise<void>;
}

const POLL_MS = 10;

/**
 * Asks by a file named for what is wanted and waits for the answer, so that nothing is needed of the server's account but a
 * shell, and none of the target's secrets. A status beyond 125 ends the recovery: neither a failure nor a dead sitter may
 * pass for the end of the archive, which 1 means.
 */
const SCRIPT = `#!/bin/sh
cd "$(dirname "$0")" || exit 200
: > "$1.wanted" || exit 200
polls=0
while [ ! -e "$1.answer" ]; do
  polls=$((polls + 1))
  [ "$polls" -lt 36000 ] && [ -e fetch ] || exit 200
  sleep 0.02
done
read -r status < "$1.answer"
rm -f "$1.answer"
[ "$status" = 0 ] || exit "$status"
cp "$1" "$2" && rm -f "$1" || exit 200
`;

/** Makes the directory, which belongs to the server's account. */
export async function createWalExchange(
  account: ServerAccount,
  directory: string,
  dataDirectory: string,
  fetch: FetchWal,
): Promise<WalExchange> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  own(account, directory);
  const script = join(directory, 'fetch');
  await writeFile(script, SCRIPT, { mode: 0o700 });
  await chmod(script, 0o700);
  own(account, script);

  async function answer(name: string, status: number): Promise<void> {
    const temporary = join(directory, `${name}.answering`);
    await writeFile(temporary, `${status}\n`);
    own(account, temporary);
    await rename(temporary, join(directory, `${name}.answer`));
  }

  async function serveOne(name: string): Promise<void> {
    await rm(join(directory, `${name}.wanted`), { force: true });
    try {
      const isThere = await fetch(name, join(directory, name));
      if (isThere) own(account, join(directory, name));
      await answer(name, isThere ? 0 : 1);
    } catch (error) {
      await answer(name, 200);
      throw error;
    }
  }

  return {
    restoreCommand: `/bin/sh ${quote(script)} %f ${quote(`${dataDirectory}/`)}%p`,
    async serve(signal) {
      while (!signal.aborted) {
        for (const file of await readdir(directory)) {
          if (file.endsWith('.wanted')) await serveOne(file.slice(0, -'.wanted'.length));
        }
        await sleep(POLL_MS, undefined, { signal }).catch(() => {});
      }
    },
    close: () => rm(directory, { recursive: true, force: true }),
  };
}

/** For a shell, in a place where PostgreSQL puts names for `%f` and `%p`. */
function quote(path: string): string {
  return `'${path.replaceAll("'", "'\\''").replaceAll('%', '%%')}'`;
}
