import type { CommitOutcome } from '../../../lib/coordinator/coordinator.ts';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { ClusterState } from '../../../lib/shard/state.ts';
import type { ShardStore } from '../ports.ts';

/** The state of the view, for an action that a rule would not have asked for without one. Throws `StateMissing`. */
export function stateOf(store: ShardStore): ClusterState {
  const state = store.view().state?.value;
  if (state === undefined) throw new MantaError('StateMissing', 'etcd has no state of this shard');
  return state;
}

/**
 * Resolves when the transaction was applied and the view shows it. Throws MantaError `StateConflict` when it certainly was
 * not, `StateUnknown` when nobody can say yet, `CoordinatorUnavailable` when etcd was not there.
 */
export async function committed(store: ShardStore, outcome: CommitOutcome): Promise<void> {
  switch (outcome.kind) {
    case 'committed':
      await store.refresh();
      return;
    case 'conflict':
      await store.refresh();
      throw new MantaError('StateConflict', 'somebody else has written meanwhile');
    case 'unknown':
      throw new MantaError('StateUnknown', outcome.message);
    case 'unavailable':
      throw new MantaError('CoordinatorUnavailable', outcome.message);
  }
}
