import { MantaError } from '../../../lib/errors/manta-error.ts';
import { formatLsn } from '../../../lib/shard/lsn.ts';
import type { ClusterState, PeerRef } from '../../../lib/shard/state.ts';
import { chainOf } from '../../../lib/shard/state.ts';
import { isHealthy, myRef, NOBODY, refOf } from '../facts.ts';
import type { Ports } from '../ports.ts';
import type { Snapshot } from '../snapshot.ts';
import { committed, stateOf } from './commit.ts';
import { putInForce } from './in-force.ts';
import { cutReceiver, type Drained, drained } from './receiver.ts';
import { deposedRef } from './take-over.ts';

/**
 * §13: K2 to K4 without the trigger and the position test, for an operator who has accepted the loss. What is lost is at
 * most what the former primary and sync acknowledged beyond the position that is logged.
 */
export async function forceTakeover(ports: Ports, s: Snapshot): Promise<void> {
  const { store, logger } = ports;
  const state = stateOf(store);
  const end = await standStill(ports);
  if (end === undefined) return;
  const generation = state.generation + 1;
  const others = chainOf(state).filter(peer => peer.id !== s.me.id);
  const sync = others.find(peer => peer.id !== state.primary.id && isHealthy(s, peer.id));
  const isDeposed = state.primary.id !== s.me.id;
  const { oneNode: _, ...rest } = state;
  const next: ClusterState = {
    ...rest,
    ...pair(s, sync),
    async: others.filter(peer => peer.id !== sync?.id && peer.id !== state.primary.id && isHealthy(s, peer.id)),
    deposed: [
      ...state.deposed.filter(peer => peer.id !== s.me.id),
      ...(isDeposed ? [deposedRef(state.primary, generation, end)] : []),
    ],
    seq: state.seq + 1,
    generation,
    initWal: formatLsn(end.position),
    initTimeline: end.timeline,
    timeline: Math.max(state.timeline, end.timeline) + 1,
    cause: 'force-takeover',
  };
  logger.warn({ from: next.initWal, acknowledged: state.initWal }, 'takeover forced: later WAL is lost');
  await committed(store, await store.writeState(next, answered(ports, s, 'force-takeover')));
}

/** §13: a state above everything that anybody has seen, from what this volume holds. */
export async function stateRepair(ports: Ports, s: Snapshot): Promise<void> {
  const { server, store } = ports;
  const request = s.etcd.requests['state-repair'];
  const { directory } = await server.observe();
  if (request === undefined || directory.kind !== 'usable')
    throw new MantaError('LostData', 'no database to go on with');
  if (request.sync !== undefined) await joinSync(ports, request.sync);
  const end = await standStill(ports);
  if (end === undefined) return;
  const marks = [s.local.highWater, ...Object.values(s.etcd.peers).map(peer => peer.value.local)];
  const old = s.etcd.state?.value;
  const highest = (read: (mark: (typeof marks)[number]) => number, other: number) =>
    Math.max(other, ...marks.map(read)) + 1;
  const sync = request.sync === undefined ? undefined : s.etcd.peers[request.sync];
  const generation = highest(mark => mark.maxGeneration, old?.generation ?? 0);
  const next: ClusterState = {
    v: 2,
    ...pair(s, sync && refOf(sync)),
    systemId: directory.systemId,
    pgMajor: s.me.pgMajor,
    async: [],
    deposed: [],
    generation,
    seq: Math.max(
      generation,
      highest(mark => mark.maxSeq, old?.seq ?? 0),
    ),
    initWal: formatLsn(end.position),
    initTimeline: end.timeline,
    timeline: highest(mark => mark.lastTimeline, Math.max(end.timeline, old?.timeline ?? 0)),
    cause: 'state-repair',
  };
  await committed(store, await store.writeState(next, answered(ports, s, 'state-repair')));
}

/** As in J1: a primary that is serving acknowledges nothing any more that its new sync does not hold. */
async function joinSync(ports: Ports, sync: string): Promise<void> {
  const { written } = await ports.server.observe();
  if (written?.role !== 'primary' || written.ssn.includes(sync)) return;
  await putInForce(ports, { ...written, ssn: [sync, ...written.ssn.filter(name => name !== NOBODY)] });
}

/** The end of what this server holds, once it can grow no more. A primary is closed already, or serves with its sync. */
async function standStill(ports: Ports): Promise<Drained | undefined> {
  const { inRecovery, flushed, timeline } = await ports.server.positions();
  if (!inRecovery) return flushed === undefined ? undefined : { timeline, position: flushed };
  await cutReceiver(ports);
  return drained(ports);
}

/** Who leads and who confirms; alone when there is nobody else. */
function pair(s: Snapshot, sync: PeerRef | undefined): Pick<ClusterState, 'primary' | 'sync' | 'oneNode' | 'writer'> {
  const alone = sync === undefined ? { oneNode: 'lone-survivor' as const } : {};
  return { primary: myRef(s), sync: sync ?? null, ...alone, writer: s.me.id };
}

function answered({ store }: Ports, s: Snapshot, kind: 'force-takeover' | 'state-repair') {
  const request = s.etcd.requests[kind];
  const answer = { id: request?.id ?? '', outcome: 'Done', message: `${s.me.id} is the primary` };
  return {
    operations: [{ delete: store.keys.request(kind) }, { put: store.keys.answer, value: JSON.stringify(answer) }],
  };
}
