import { startPiped } from './program.ts';
import { type BackupSite, withOwnServer } from './site.ts';
import { SLOT } from './slot.ts';

/** One run of pg_receivewal, which ends when its connection does. */
export interface WalReceiver {
  readonly isRunning: boolean;
  /** Why it ended; undefined while it runs, or when it was told to. */
  failure(): unknown;
  /** At once. */
  kill(): void;
  /** Resolves when it has gone. */
  readonly ended: Promise<void>;
}

/** Starts one, into a directory that says where to go on. */
export function startReceiver(site: BackupSite, directory: string): WalReceiver {
  let isRunning = true;
  let failure: unknown;
  const killed = new AbortController();
  const ended = withOwnServer(site, 'archive', async connection => {
    const args = [
      `--dbname=${connection}`,
      `--directory=${directory}`,
      `--slot=${SLOT}`,
      '--no-password',
      '--no-loop',
      '--status-interval=5',
    ];
    const program = startPiped(site.account, site.binaries.path('pg_receivewal'), args, killed.signal);
    program.output.resume();
    await program.ended;
  })
    .catch(error => {
      if (!killed.signal.aborted) failure = error;
    })
    .finally(() => {
      isRunning = false;
    });
  return {
    ended,
    failure: () => failure,
    kill: () => killed.abort(),
    get isRunning() {
      return isRunning;
    },
  };
}

/** Whether a receiver ended because the WAL it was to go on with is no more. */
export function isWalGone(failure: unknown): boolean {
  return /has already been removed/.test(String(failure));
}
