import type { HighWater } from '../../../lib/shard/records.ts';
import { type ClusterState, roleOf } from '../../../lib/shard/state.ts';
import type { Ports } from '../ports.ts';
import type { Snapshot } from '../snapshot.ts';

/** What the volume must remember before anything is done in this state (§5.3). */
export async function saveHighWater({ local, store }: Ports, s: Snapshot): Promise<void> {
  const state = store.view().state?.value;
  const { highWater } = local.current();
  if (state === undefined) return;
  const next = highWaterIn(state, highWater, s);
  if (JSON.stringify(next) !== JSON.stringify(highWater)) await local.save({ highWater: next });
}

/** The marks of a volume that has seen a state. */
export function highWaterIn(state: ClusterState, before: HighWater, s: Snapshot): HighWater {
  return {
    maxGeneration: Math.max(before.maxGeneration, state.generation),
    maxSeq: Math.max(before.maxSeq, state.seq),
    lastRole: roleOf(state, s.me.id),
    lastTimeline: s.server.answered?.timeline ?? before.lastTimeline,
  };
}

/** A rebuild was asked for (§6.6): the directory is current no more, and the request is answered. */
export async function discardDirectory({ local, store }: Ports, s: Snapshot): Promise<void> {
  const request = s.etcd.requests.rebuild;
  if (request === undefined) return;
  await local.save({ incarnation: null });
  const answer = { id: request.id, outcome: 'Done', message: `${s.me.id} is being rebuilt` };
  await store.commit(
    [],
    [{ delete: store.keys.request('rebuild') }, { put: store.keys.answer, value: JSON.stringify(answer) }],
  );
}
