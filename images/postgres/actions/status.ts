import { MantaError } from '../../../lib/errors/manta-error.ts';
import { formatLsn } from '../../../lib/shard/lsn.ts';
import type { Action, ActionOf } from '../action.ts';
import type { Ports } from '../ports.ts';
import { nextOfHandover } from '../rules/finish-handover.ts';
import type { Snapshot } from '../snapshot.ts';

/** What my record says of my role. Once new work waits for a hand-over, it goes on at once. */
export async function setStatus(
  { record, store }: Ports,
  s: Snapshot,
  { status }: ActionOf<'set-status'>,
): Promise<Action | undefined> {
  await record.set({ status, statusGeneration: s.etcd.state?.value.generation ?? 0 });
  return status === 'handoff' ? nextOfHandover({ ...s, etcd: store.view() }) : undefined;
}

/** W6 (§7.6): only a server that ended in order, and whose end is known, is handed over. */
export async function handOff({ server, record }: Ports, s: Snapshot): Promise<void> {
  const { process, directory } = await server.observe();
  if (process.kind !== 'none' || directory.kind !== 'usable' || !directory.isClean || directory.end === undefined) {
    throw new MantaError('PostgresOffline', 'the server has not ended in order');
  }
  await record.set({
    status: 'handed-off',
    statusGeneration: s.etcd.state?.value.generation ?? 0,
    handedOffAt: formatLsn(directory.end),
  });
}

/** 7.7, steps 1 and 2: first the proof that nothing of the server is left, which might still answer reads. */
export async function abdicate(ports: Ports, s: Snapshot, action: ActionOf<'abdicate'>): Promise<void> {
  ports.logger.warn({ why: action.why }, 'abdicating');
  ports.jobs.abort();
  await ports.server.stop('kill', new AbortController().signal);
  await ports.record.set({ status: 'abdicating', statusGeneration: s.etcd.state?.value.generation ?? 0 });
}

/** §6.6: the request is answered and gone. */
export async function answer({ store }: Ports, _: Snapshot, action: ActionOf<'answer'>): Promise<void> {
  await store.commit(
    [],
    [{ delete: store.keys.request(action.request) }, { put: store.keys.answer, value: JSON.stringify(action.answer) }],
  );
}
