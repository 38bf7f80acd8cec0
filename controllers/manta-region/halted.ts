import { findCondition } from '../../operator/runtime/condition.ts';
import { isReady } from '../pods/pod-state.ts';
import type { RolloutPart } from './rollout.ts';
import type { RegionSnapshot } from './snapshot.ts';

/** A pod that is not healthy after so long halts a rollout: operations.md §4.6. */
const HEALTHY_WITHIN_MS = 600_000;

/** Why the part that has the turn does not get on; undefined while it does. Pure. */
export function whyHalted(s: RegionSnapshot, { program, object }: RolloutPart): string | undefined {
  if (program === 'postgres') {
    const shard = s.shards.find(({ metadata }) => metadata.name === object);
    const told = findCondition(shard?.status?.conditions, 'Progressing');
    return told?.reason === 'RolloutHalted' ? `${object}: ${told.message}` : undefined;
  }
  if (program === 'webapi' || program === 'loadbalancer') {
    const told = s[program].deployment?.status?.conditions?.find(({ type }) => type === 'Progressing');
    return told?.reason === 'ProgressDeadlineExceeded' ? `${program}: ${told.message ?? ''}` : undefined;
  }
  const own = s.statefulSets.get(object);
  const late = s.pods.find(
    pod =>
      pod.metadata.ownerReferences?.some(({ uid }) => uid === own?.metadata.uid) === true &&
      !isReady(pod) &&
      s.nowMs - Date.parse(pod.metadata.creationTimestamp) > HEALTHY_WITHIN_MS,
  );
  return late && `${late.metadata.name} is not ready after 10 minutes: kubectl describe pod ${late.metadata.name}`;
}
