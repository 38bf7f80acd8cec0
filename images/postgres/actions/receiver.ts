import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { Lsn } from '../../../lib/shard/lsn.ts';
import type { Ports } from '../ports.ts';

const POLL_MS = 2;
const RECEIVER_MS = 1_000;
const DRAIN_POLL_MS = 5;
const DRAIN_MS = 1_500;

/** The server stands still: what it holds will not grow, and all of it has been replayed. */
export interface Drained {
  readonly timeline: number;
  /** The end of the last complete record. */
  readonly position: Lsn;
}

/**
 * K2 (replication.md §7.5), steps 1 and 2. Afterwards no process of this server is, or can become, an authenticated client
 * of the primary: whoever reads the password file from now on finds nothing, and whoever had read it before was listed and
 * has ended. Throws MantaError `ReceiverStuck` when one does not end; the password stays away.
 */
export async function cutReceiver(ports: Ports): Promise<void> {
  await ports.server.writeReceiverPassword('empty');
  await endReceivers(ports);
}

/** Step 2 of the cut. The password must be away already. */
export async function endReceivers(ports: Ports): Promise<void> {
  const { server, pace } = ports;
  const key = (receiver: { pid: number; startedAt: string }) => `${receiver.pid} ${receiver.startedAt}`;
  const listed = await server.receivers();
  for (const receiver of listed) await server.terminate(receiver.pid);
  const began = pace.now();
  const doomed = new Set(listed.map(key));
  while (doomed.size > 0) {
    const left = (await server.receivers()).map(key).filter(found => doomed.has(found));
    if (left.length === 0) return;
    if (pace.now() - began > RECEIVER_MS) throw new MantaError('ReceiverStuck', 'a WAL receiver does not end');
    await pace.sleep(POLL_MS);
  }
}

/** Step 3, tidiness: without a connection string nobody goes on asking in vain. */
export async function stopAsking({ server }: Ports): Promise<void> {
  const { written } = await server.observe();
  if (written === undefined || written.upstream === undefined) return;
  await server.writeSettings({ ...written, upstream: undefined });
  await server.reload();
}

/**
 * K3, after a cut: resolves once every complete record that the server holds is replayed; undefined while there is more to
 * replay. That replay stands still proves nothing (C19): the WAL itself is read.
 */
export async function drained(ports: Ports): Promise<Drained | undefined> {
  const { server, pace } = ports;
  await server.terminateClients();
  await server.resumeReplay();
  const began = pace.now();
  for (;;) {
    const { timeline, received, replayed } = await server.positions();
    if (replayed !== undefined) {
      const isLevel = received !== undefined && replayed >= received;
      if (isLevel || !(await server.hasRecordAt(timeline, replayed))) return { timeline, position: replayed };
    }
    if (pace.now() - began > DRAIN_MS) return undefined;
    await pace.sleep(DRAIN_POLL_MS);
  }
}
