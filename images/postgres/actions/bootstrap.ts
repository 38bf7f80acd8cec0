import { MantaError } from '../../../lib/errors/manta-error.ts';
import { lsn } from '../../../lib/shard/lsn.ts';
import { ordinalOf } from '../../../lib/shard/records.ts';
import type { ClusterState } from '../../../lib/shard/state.ts';
import { myRef, refOf } from '../facts.ts';
import type { Ports } from '../ports.ts';
import type { Snapshot } from '../snapshot.ts';
import { committed, stateOf } from './commit.ts';
import { deposedRef } from './take-over.ts';

/** B1 (§7.3): generation 1, and the leave to begin is used up in the same transaction. */
export async function bootstrap({ store }: Ports, s: Snapshot): Promise<void> {
  const { bootstrap: leave, config, peers } = s.etcd;
  if (leave === undefined || config === undefined) return;
  const [sync, ...async] = Object.values(peers)
    .filter(peer => peer.value.id !== s.me.id && ordinalOf(peer.value.id) < config.value.peers)
    .sort((a, b) => a.createRevision - b.createRevision)
    .map(refOf);
  const first: ClusterState = {
    v: 2,
    seq: 1,
    generation: 1,
    primary: myRef(s),
    sync: sync ?? null,
    async,
    deposed: [],
    initWal: '0/0',
    initTimeline: 1,
    timeline: 1,
    systemId: null,
    pgMajor: null,
    ...(sync === undefined ? { oneNode: 'created' as const } : {}),
    ...(leave.value.restore === undefined ? {} : { restore: leave.value.restore }),
    cause: 'setup',
    writer: s.me.id,
  };
  const outcome = await store.writeState(first, {
    compare: [{ key: store.keys.bootstrap, modRevision: leave.modRevision }],
    operations: [{ delete: store.keys.bootstrap }],
  });
  await committed(store, outcome);
}

/** B5: the founder is lost before anything was open, so its successor begins anew. */
export async function inheritBootstrap({ store }: Ports, s: Snapshot): Promise<void> {
  const state = stateOf(store);
  const [sync, ...async] = state.async;
  if (sync === undefined) throw new MantaError('NoCandidate', 'nobody is left to become the sync');
  const generation = state.generation + 1;
  const next: ClusterState = {
    ...state,
    seq: state.seq + 1,
    generation,
    primary: myRef(s),
    sync,
    async,
    deposed: [...state.deposed, deposedRef(state.primary, generation, { timeline: 1, position: lsn(0n) })],
    cause: 'takeover',
    writer: s.me.id,
  };
  await committed(store, await store.writeState(next));
}

/** B2, its second half: the roles, then the system identifier in the state. */
export async function recordSystem({ store, server, local }: Ports, s: Snapshot): Promise<void> {
  await server.createRoles();
  const { directory } = await server.observe();
  const { timeline } = await server.positions();
  if (directory.kind !== 'usable') throw new MantaError('LostData', 'the new database is not there');
  await local.save({ systemId: directory.systemId });
  const { restore: _, ...state } = stateOf(store);
  const next: ClusterState = {
    ...state,
    seq: state.seq + 1,
    primary: myRef({ ...s, server: { ...s.server, directory } }),
    systemId: directory.systemId,
    pgMajor: s.me.pgMajor,
    timeline,
    initTimeline: timeline,
    cause: 'system-id',
    writer: s.me.id,
  };
  await committed(store, await store.writeState(next));
}
