import { MantaError } from '../../../lib/errors/manta-error.ts';
import { formatLsn } from '../../../lib/shard/lsn.ts';
import type { ClusterState } from '../../../lib/shard/state.ts';
import type { ActionOf } from '../action.ts';
import { isHealthy, refOf } from '../facts.ts';
import type { Ports } from '../ports.ts';
import type { Snapshot } from '../snapshot.ts';
import { committed, stateOf } from './commit.ts';
import { untilInForce } from './in-force.ts';

/**
 * J2 and J3 (§7.4): proves once more that both must confirm, only then reads the position, and declares the new pair from
 * it. Whatever was acknowledged by the old sync alone is at or below that position; whatever comes later has both.
 */
export async function declareSync(ports: Ports, s: Snapshot, action: ActionOf<'declare-sync'>): Promise<void> {
  const { server, store, logger } = ports;
  const { written } = await server.observe();
  const state = stateOf(store);
  const successor = s.etcd.peers[action.candidate];
  const joint = [action.candidate, ...(state.sync === null ? [] : [state.sync.id])];
  if (written === undefined || successor === undefined || written.ssn.join() !== joint.join()) return;
  await untilInForce(ports, written, joint);
  const { flushed, timeline } = await server.positions();
  if (flushed === undefined) throw new MantaError('PostgresOffline', 'the server is not out of recovery');
  const { oneNode: _, ...rest } = state;
  const next: ClusterState = {
    ...rest,
    seq: state.seq + 1,
    generation: state.generation + 1,
    sync: refOf(successor),
    async: [...state.async.filter(peer => peer.id !== action.candidate), ...stayingSync(s, state)],
    initWal: formatLsn(flushed),
    initTimeline: timeline,
    cause: 'sync-replaced',
    writer: s.me.id,
  };
  await committed(store, await store.writeState(next));
  logger.info({ generation: next.generation, sync: action.candidate, initWal: next.initWal }, 'sync replaced');
}

/** The old sync goes to the tail, when it is well. Of one that is gone the record stands a while longer than it does. */
function stayingSync(s: Snapshot, state: ClusterState): ClusterState['async'] {
  if (state.sync === null || !isHealthy(s, state.sync.id) || s.evidence.sync?.kind === 'gone') return [];
  const view = s.etcd.peers[state.sync.id];
  return view === undefined ? [] : [refOf(view)];
}
