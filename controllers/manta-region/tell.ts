import type { MantaRegionStatus } from '../../lib/resources/types.ts';
import { findCondition } from '../../operator/runtime/condition.ts';
import type { Told } from '../../operator/runtime/event-recorder.ts';
import type { EventReason } from '../events.ts';

/** What people are told when a region's status changes from one to the other: operations.md §3.7. Pure. */
export function tellRegion(before: MantaRegionStatus, after: MantaRegionStatus): Told<EventReason>[] {
  const told: Told<EventReason>[] = [];
  const [was, is] = [before.rollout, after.rollout];
  if (was !== undefined && was.object !== is?.object)
    told.push({
      type: 'Normal',
      reason: 'RolloutCompleted',
      action: 'Rollout',
      note: `${was.object}: ${was.to ?? ''}`,
    });
  if (is !== undefined && is.object !== was?.object)
    told.push({ type: 'Normal', reason: 'RolloutStarted', action: 'Rollout', note: `${is.object}: ${is.to ?? ''}` });
  const [wasGoing, isGoing] = [before, after].map(({ conditions }) => findCondition(conditions, 'Progressing'));
  if (isGoing?.reason === 'RolloutHalted' && wasGoing?.reason !== 'RolloutHalted')
    told.push({ type: 'Warning', reason: 'RolloutHalted', action: 'Rollout', note: isGoing.message });
  const [wasWeak, isWeak] = [before, after].map(({ conditions }) => findCondition(conditions, 'Degraded'));
  if (isWeak?.reason === 'LayoutWeak' && wasWeak?.reason !== 'LayoutWeak')
    told.push({ type: 'Warning', reason: 'LayoutWeak', action: 'Observe', note: isWeak.message });
  return told;
}
