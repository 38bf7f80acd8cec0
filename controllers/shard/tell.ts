import type { ShardStatus } from '../../lib/resources/types.ts';
import { findCondition } from '../../operator/runtime/condition.ts';
import type { Told } from '../../operator/runtime/event-recorder.ts';
import type { EventReason } from '../events.ts';

/** What people are told when a shard's status changes from one to the other: operations.md §3.7. Pure. */
export function tellShard(before: ShardStatus, after: ShardStatus, cause: string | undefined): Told<EventReason>[] {
  const told: Told<EventReason>[] = [];
  const say = (type: 'Normal' | 'Warning', reason: EventReason, action: string, note: string) =>
    void told.push({ type, reason, action, note });
  const hasMoved = before.primary !== undefined && after.primary !== before.primary;
  if (hasMoved) {
    const isPlanned = cause === 'switchover';
    const note = `${after.primary} is primary after ${before.primary}, generation ${after.generation}`;
    say(isPlanned ? 'Normal' : 'Warning', isPlanned ? 'SwitchoverCompleted' : 'TakeoverCompleted', 'ChangeRoles', note);
  }
  for (const id of after.deposed ?? [])
    if (!before.deposed?.includes(id)) say('Warning', 'PeerDeposed', 'ChangeRoles', `${id} was deposed`);
  for (const id of before.deposed ?? [])
    if (!after.deposed?.includes(id)) say('Normal', 'PeerRebuilt', 'ChangeRoles', `${id} is back`);
  const [wasReady, isReady] = [before, after].map(({ conditions }) => findCondition(conditions, 'Ready'));
  if (isReady?.status === 'True' && wasReady?.status !== 'True') say('Normal', 'ReadWrite', 'Observe', isReady.message);
  if (isReady?.status === 'False' && wasReady?.status === 'True')
    say('Warning', 'ReadOnly', 'Observe', isReady.message);
  const [wasFrozen, isFrozen] = [before, after].map(({ conditions }) => findCondition(conditions, 'Frozen'));
  if (isFrozen?.status === 'True' && wasFrozen?.status !== 'True') say('Normal', 'Frozen', 'Freeze', isFrozen.message);
  if (isFrozen?.status === 'False' && wasFrozen?.status === 'True')
    say('Normal', 'Unfrozen', 'Freeze', isFrozen.message);
  return told;
}
