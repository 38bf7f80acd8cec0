import type { Coordinator } from '../../lib/coordinator/coordinator.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { keyOf } from '../../lib/kubernetes/object.ts';
import { shards } from '../../lib/resources/types.ts';
import type { ControllerDeps } from '../deps.ts';
import { applyOwned } from '../owned.ts';
import type { ShardAction } from './decide.ts';
import type { ShardSnapshot } from './snapshot.ts';

/** What acting on a shard stands on. */
export type ShardActDeps = Pick<ControllerDeps, 'applier' | 'informers' | 'kubernetes'>;

/**
 * Carries the actions out in their order. True when something was changed, so that looking again makes sense soon. Throws
 * what the first failing call throws; everything before it is done, and all of it can be done again.
 */
export async function actOnShard(
  deps: ShardActDeps,
  { shard }: ShardSnapshot,
  actions: readonly ShardAction[],
  coordinator: Coordinator | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  let hasChanged = false;
  for (const action of actions) {
    signal.throwIfAborted();
    switch (action.kind) {
      case 'apply': {
        const { outcome } = await applyOwned(deps, { resource: shards, object: shard }, action.object, signal);
        if (outcome !== 'unchanged') hasChanged = true;
        break;
      }
      case 'write-wishes': {
        const outcome = await coordinator?.commit(action.transaction, { signal });
        if (outcome?.kind === 'unavailable') throw new MantaError('CoordinatorUnavailable', outcome.message);
        // Lost races and lost answers are seen at the next look, which is soon.
        hasChanged = true;
        break;
      }
      case 'replace-pod': {
        const { uid } = action.pod.metadata;
        await deps.kubernetes.delete(deps.informers.pods.resource, keyOf(action.pod), { uid, signal });
        hasChanged = true;
        break;
      }
      case 'label-pod': {
        const { pods } = deps.informers;
        const body = { metadata: { uid: action.pod.metadata.uid, labels: action.labels } };
        pods.observe(
          await deps.kubernetes.patch(pods.resource, keyOf(action.pod), { type: 'merge', body }, { signal }),
        );
        break;
      }
    }
  }
  return hasChanged;
}
