import type { Node } from '../../lib/kubernetes/resources.ts';
import { type ConditionUpdate, findCondition } from '../../operator/runtime/condition.ts';
import { isReady, unschedulable } from '../pods/pod-state.ts';
import { conditionOf, type Finding } from '../verdict.ts';
import type { StoragePlan } from './decide.ts';
import { claimNameOf } from './objects.ts';
import type { StorageSnapshot } from './snapshot.ts';

/** A node that was not heard of for so long gets no new objects: metadata.md §14.3. */
const HEARTBEAT_MS = 60_000;
const ALMOST_FULL_PERCENT = 85;

/** All conditions of a storage node: operations.md §3.4.2. Pure. */
export function judgeStorageNode(s: StorageSnapshot, change: StoragePlan['change']): readonly ConditionUpdate[] {
  const { generation } = s.node.metadata;
  const unready = refusalOf(s) ?? whyNotReady(s);
  const before = findCondition(s.node.status?.conditions, 'Ready');
  const wasEverReady =
    before?.status === 'True' || findCondition(s.node.status?.conditions, 'Progressing')?.reason === 'Stable';
  return [
    conditionOf(
      'Ready',
      { found: 'False', none: 'True' },
      unready === undefined ? [] : [unready],
      { reason: 'Serving', message: 'it serves objects and is heard of' },
      generation,
    ),
    conditionOf(
      'Progressing',
      { found: 'True', none: 'False' },
      progress(s, change, unready !== undefined && !wasEverReady ? unready : undefined),
      change === 'waiting' ? waiting(s) : { reason: 'Stable', message: 'nothing is being changed' },
      generation,
    ),
    conditionOf(
      'Degraded',
      { found: 'True', none: 'False' },
      degraded(s),
      { reason: 'AsSpecified', message: 'everything is as the spec asks for' },
      generation,
    ),
    conditionOf(
      'Writable',
      { found: 'False', none: 'True' },
      whyNotWritable(s, unready),
      { reason: 'Accepting', message: 'it takes new objects' },
      generation,
    ),
  ];
}

function progress(s: StorageSnapshot, change: StoragePlan['change'], joining: Finding | undefined): Finding[] {
  if (joining !== undefined && refusalOf(s) === undefined) return [{ reason: 'Joining', message: joining.message }];
  if (change !== 'going-on') return [];
  return [{ reason: 'RollingOut', message: `pod ${s.node.metadata.name}-0 is replaced` }];
}

function waiting({ view }: StorageSnapshot): Finding {
  if (view?.spec.paused) return { reason: 'Paused', message: 'a change waits for the region to be unpaused' };
  return { reason: 'WaitingForTurn', message: 'a change of the pod waits for its turn' };
}

/** Why nothing is made for a storage node. */
export function refusalOf(s: StorageSnapshot): Finding | undefined {
  const { view, control, node, nodes } = s;
  if (view === undefined)
    return {
      reason: 'RegionMissing',
      message: 'there is no MantaRegion in this namespace that the storage node could belong to',
    };
  if (control?.reported?.lifecycle === 'retired')
    return {
      reason: 'IdRetired',
      message: `the number of ${node.metadata.name} was used by a storage node that is gone for good: take another one`,
    };
  const { nodeName } = node.spec;
  if (nodeName === undefined || nodes.length === 0) return undefined;
  const named = nodes.find(({ metadata }) => metadata.name === nodeName);
  if (named === undefined) return { reason: 'NodeMissing', message: `there is no Node ${nodeName}: kubectl get nodes` };
  const lacking = lackingLabel(named, view.spec.placement.storageNodeSelector);
  if (lacking === undefined || view.spec.placement.strictness !== 'Required') return undefined;
  return { reason: 'NodeNotLabelled', message: `kubectl label node ${nodeName} ${lacking}` };
}

function lackingLabel(node: Node, selector: Readonly<Record<string, string>>): string | undefined {
  const missing = Object.entries(selector).find(([name, value]) => node.metadata?.labels?.[name] !== value);
  return missing?.join('=');
}

function whyNotReady(s: StorageSnapshot): Finding | undefined {
  const { control, node } = s;
  const reported = control?.reported;
  const { name } = node.metadata;
  const pod = whyPodNotReady(s);
  if (pod !== undefined) return pod;
  if (reported !== undefined && reported.incarnation !== reported.reportedIncarnation)
    return {
      reason: 'IncarnationMismatch',
      message: `the volume is not the one that ${name} had: put that one back, or set spec.acceptIncarnation to ${reported.reportedIncarnation}, knowing that what the old one held is gone`,
    };
  // While webapi is silent nobody knows better than before.
  if (control === undefined)
    return findCondition(node.status?.conditions, 'Ready')?.status === 'True'
      ? undefined
      : { reason: 'HeartbeatMissing', message: 'webapi does not answer: kubectl get pods -l manta.io/service=webapi' };
  if (reported === undefined || reported.heartbeatAgeMs > HEARTBEAT_MS)
    return {
      reason: 'HeartbeatMissing',
      message: `webapi has not heard of ${name}${reported === undefined ? '' : ' for a minute'}: kubectl logs ${name}-0`,
    };
  return undefined;
}

function whyPodNotReady(s: StorageSnapshot): Finding | undefined {
  const { pod, claim, node } = s;
  const { name } = node.metadata;
  const claimName = claimNameOf({ name, spec: node.spec });
  const told = pod && unschedulable(pod);
  if (claim === undefined && node.spec.volume.claimName !== undefined)
    return { reason: 'VolumePending', message: `there is no claim ${claimName}: kubectl get pvc` };
  if (told !== undefined && (claim?.status?.phase !== 'Bound' || /volume|claim/i.test(told)))
    return { reason: 'VolumePending', message: `the scheduler says of ${claimName}: ${told}` };
  if (pod === undefined) return { reason: 'PodNotReady', message: `pod ${name}-0 is being made` };
  if (isReady(pod)) return undefined;
  const ended = pod.status?.containerStatuses?.[0]?.lastState?.terminated?.message ?? '';
  if (ended.includes('VolumeMismatch'))
    return {
      reason: 'VolumeMismatch',
      message: `${claimName} is the volume of another storage node: kubectl logs ${name}-0 --previous`,
    };
  return { reason: 'PodNotReady', message: told ?? `pod ${name}-0 is not ready: kubectl describe pod ${name}-0` };
}

function degraded({ control, node, view }: StorageSnapshot): Finding[] {
  const reported = control?.reported;
  if (reported === undefined) return [];
  const findings: Finding[] = [];
  const isOwnVolume = reported.incarnation === reported.reportedIncarnation;
  if (reported.outOfService && isOwnVolume)
    findings.push({
      reason: 'DiskErrors',
      message: `the volume of ${node.metadata.name} does not work: kubectl logs ${node.metadata.name}-0`,
    });
  const percent = percentUsed(reported);
  if (percent >= Math.min(ALMOST_FULL_PERCENT, view?.spec.storage.maxUtilizationPercent ?? ALMOST_FULL_PERCENT))
    findings.push({ reason: 'AlmostFull', message: `${percent} % are used: add storage nodes` });
  return findings;
}

function whyNotWritable({ node, view, control }: StorageSnapshot, unready: Finding | undefined): Finding[] {
  const { mode, reason } = node.spec;
  const findings: Finding[] = [];
  if (mode === 'ReadOnly') findings.push({ reason: 'ReadOnly', message: reason ?? 'by spec.mode' });
  const reported = control?.reported;
  const most = view?.spec.storage.maxUtilizationPercent ?? 100;
  if (reported !== undefined && percentUsed(reported) >= most)
    findings.push({ reason: 'Full', message: `${percentUsed(reported)} % are used, of ${most} % that may be` });
  if (unready !== undefined) findings.push({ reason: 'Offline', message: unready.message });
  return findings;
}

/** Whole per cent of the volume. */
export function percentUsed({ totalBytes, availBytes }: { readonly totalBytes: number; readonly availBytes: number }) {
  return totalBytes === 0 ? 0 : Math.round((100 * (totalBytes - availBytes)) / totalBytes);
}
