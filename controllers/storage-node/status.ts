import { storageIdOf } from '../../lib/resources/names.ts';
import type { StorageNodeStatus } from '../../lib/resources/types.ts';
import { type ConditionUpdate, findCondition, setConditions } from '../../operator/runtime/condition.ts';
import type { Told } from '../../operator/runtime/event-recorder.ts';
import type { EventReason } from '../events.ts';
import { percentUsed } from './judge.ts';
import { claimNameOf } from './objects.ts';
import type { StorageSnapshot } from './snapshot.ts';

/** What a storage node shows of itself: operations.md §3.4.2. Pure; what is not known now stays as it was. */
export function storageNodeStatus(s: StorageSnapshot, conditions: readonly ConditionUpdate[]): StorageNodeStatus {
  const { node, view, pod, volume, control } = s;
  const { name, generation } = node.metadata;
  const before: StorageNodeStatus = node.status ?? {};
  const reported = control?.reported;
  const path = volume?.spec?.local?.path ?? volume?.spec?.hostPath?.path;
  const nodeName = pod?.spec?.nodeName ?? before.nodeName;
  return {
    ...before,
    ...(view === undefined ? {} : { storageId: storageIdOf(name, view.spec) }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(reported === undefined ? {} : { incarnation: reported.reportedIncarnation, capacity: capacityOf(reported) }),
    volume: { claim: claimNameOf({ name, spec: node.spec }), ...(path === undefined ? {} : { path }) },
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    conditions: setConditions(before.conditions, conditions, s.nowMs),
    display: {
      used: reported === undefined ? (before.display?.used ?? '-') : `${percentUsed(reported)}%`,
      slots: '-',
    },
  };
}

/** To 1 % of the volume: what moves all the time is in metrics. */
function capacityOf(reported: { readonly totalBytes: number; readonly availBytes: number }) {
  const percent = percentUsed(reported);
  const { totalBytes } = reported;
  return { totalBytes, usedBytes: Math.round((totalBytes * percent) / 100), percentUsed: percent };
}

/** What people are told when the status changes from one to the other: operations.md §3.7. Pure. */
export function tellStorageNode(before: StorageNodeStatus, after: StorageNodeStatus): Told<EventReason>[] {
  const told: Told<EventReason>[] = [];
  const [was, is] = [before, after].map(({ conditions }) => findCondition(conditions, 'Ready'));
  const hasJoined = is?.status === 'True' && was?.status !== 'True';
  if (hasJoined) told.push({ type: 'Normal', reason: 'Joined', action: 'Observe', note: is.message });
  if (is?.status === 'False' && was?.status === 'True')
    told.push({ type: 'Warning', reason: 'Offline', action: 'Observe', note: is.message });
  const [wasMode, isMode] = [before, after].map(
    ({ conditions }) => findCondition(conditions, 'Writable')?.reason === 'ReadOnly',
  );
  if (before.conditions !== undefined && wasMode !== isMode) {
    const note = isMode ? 'it takes no new objects by spec.mode' : 'it may take new objects again';
    told.push({ type: 'Normal', reason: 'ModeChanged', action: 'SetMode', note });
  }
  return told;
}
