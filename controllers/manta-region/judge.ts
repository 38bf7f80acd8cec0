import type { Deployment } from '../../lib/kubernetes/resources.ts';
import type { ConditionUpdate } from '../../operator/runtime/condition.ts';
import { findCondition } from '../../operator/runtime/condition.ts';
import { unschedulable } from '../pods/pod-state.ts';
import { conditionOf, type Finding, someOf } from '../verdict.ts';
import type { RegionPlan } from './decide.ts';
import { whyHalted } from './halted.ts';
import { isComplete, isServing, isShardReady, isStorageReady, isWritable } from './readiness.ts';
import type { Turn } from './rollout.ts';
import type { RegionSnapshot } from './snapshot.ts';
import { missingShards } from './templates.ts';

/** All conditions of a region: operations.md §3.2.3. Pure. */
export function judgeRegion(s: RegionSnapshot, plan: RegionPlan, turn: Turn): readonly ConditionUpdate[] {
  const generation = s.region.metadata.generation;
  const unchecked = (type: string): ConditionUpdate =>
    conditionOf(
      type,
      { found: 'Unknown', none: 'Unknown' },
      [],
      { reason: 'NoCheck', message: 'nobody checks this from outside yet' },
      generation,
    );
  return [
    conditionOf(
      'Ready',
      { found: 'False', none: 'True' },
      unready(s),
      { reason: 'AllReady', message: 'every part of the region serves' },
      generation,
    ),
    conditionOf('Progressing', { found: 'True', none: 'False' }, progress(s, plan, turn), rest(s, turn), generation),
    conditionOf(
      'Degraded',
      { found: 'True', none: 'False' },
      degraded(s),
      { reason: 'AsSpecified', message: 'everything is there that the spec asks for' },
      generation,
    ),
    ...['ReadsAvailable', 'WritesAvailable', 'JobsAvailable'].map(unchecked),
  ];
}

/** For a region that is refused: nothing is made for it. */
export function refusedRegion(generation: number | undefined, finding: Finding): readonly ConditionUpdate[] {
  const none = { reason: 'Stable', message: 'nothing is done for this object' };
  return [
    conditionOf('Ready', { found: 'False', none: 'True' }, [finding], none, generation),
    conditionOf('Progressing', { found: 'True', none: 'False' }, [], none, generation),
  ];
}

function unready(s: RegionSnapshot): Finding[] {
  const { shards, storageNodes, view, webapi, loadbalancer } = s;
  const findings: Finding[] = [];
  const say = (reason: string, message: string) => void findings.push({ reason, message });
  const nameservice = nameserviceSilence(s);
  if (nameservice !== undefined) say('NameserviceNotReady', nameservice);
  const absent = missingShards(s).map(({ metadata }) => String(metadata.name));
  if (absent.length > 0 || shards.length === 0)
    say(
      'ShardsMissing',
      absent.length > 0
        ? `not there yet: ${someOf(absent)}`
        : 'there is no Shard: make one, or give shardTemplate.storage',
    );
  const unreadyShards = shards.filter(shard => !isShardReady(shard));
  if (unreadyShards.length > 0) {
    const parts = unreadyShards.map(({ metadata, status }) => {
      const why = findCondition(status?.conditions, 'Ready');
      return `${metadata.name} ${why?.reason ?? 'is new'}`;
    });
    say('ShardsNotReady', `${someOf(parts)}: kubectl describe mshard`);
  }
  if (webapi.look !== undefined && webapi.look.slotMap === undefined) say('SlotMapMissing', slotMapAbsence(s));
  if (!isServing(webapi.deployment)) say('WebapiNotReady', deploymentSilence('webapi', webapi.deployment));
  if (!isServing(loadbalancer.deployment))
    say('LoadBalancerNotReady', deploymentSilence('loadbalancer', loadbalancer.deployment));
  const writable = storageNodes.filter(isWritable).length;
  if (writable < view.spec.storage.defaultCopies)
    say(
      'TooFewStorageNodes',
      `${writable} of ${storageNodes.length} storage nodes take objects, which have ${view.spec.storage.defaultCopies} copies: kubectl get msn`,
    );
  return findings;
}

function nameserviceSilence({ region, nameservice }: RegionSnapshot): string | undefined {
  const { statefulSet, look, isAccessRight } = nameservice;
  // An operator that has just started has not looked yet; users that the shards have used are there.
  const isNew = region.status?.slotMap === undefined;
  if (statefulSet === undefined || look === undefined) return 'nameservice is being made';
  if (look.clusterId !== undefined) return isAccessRight || !isNew ? undefined : 'users of nameservice are being made';
  const silent = look.members.filter(({ isHealthy }) => !isHealthy).map(({ name }) => name);
  return `nameservice has no quorum, ${someOf(silent)} ${silent.length === 1 ? 'does' : 'do'} not answer: kubectl get pods -l manta.io/service=nameservice`;
}

function slotMapAbsence({ region, nameservice: { isAccessRight } }: RegionSnapshot): string {
  const known = region.status?.slotMap?.version;
  if (known === undefined)
    return isAccessRight ? 'the slot map is made as soon as every shard is ready' : 'there is no slot map yet';
  return `the control database has lost the slot map, of which there was version ${known}: restore the shard that hosts control`;
}

function deploymentSilence(name: string, deployment: Deployment | undefined): string {
  if (deployment === undefined) return `${name} has to wait for what it stands on`;
  return `no pod of ${name} is ready: kubectl get pods -l manta.io/service=${name}`;
}

function progress(s: RegionSnapshot, { step }: RegionPlan, { holder }: Turn): Finding[] {
  const reason = findCondition(s.region.status?.conditions, 'Progressing')?.reason;
  const isNew = reason === undefined || reason === 'Bootstrapping';
  if (isNew && step !== 'done') return [{ reason: 'Bootstrapping', message: `the next step is ${step}` }];
  if (isNew && unready(s).length > 0) return [{ reason: 'Bootstrapping', message: 'everything is made, and starts' }];
  if (holder === undefined || whyHalted(s, holder) !== undefined) return [];
  const { program, object } = holder;
  const what = program === object ? object : `${program} of ${object}`;
  return [{ reason: 'RollingOut', message: `${what} is changed to ${s.view.image(program)}` }];
}

/** What there is to say of a region in which nothing progresses. */
function rest(s: RegionSnapshot, { holder, waiting }: Turn): Finding {
  const halted = holder && whyHalted(s, holder);
  if (halted !== undefined)
    return { reason: 'RolloutHalted', message: `${halted}; set the old value again, or mend it: all others wait` };
  if (s.view.spec.paused && waiting.length > 0)
    return { reason: 'Paused', message: `${waiting.length} changes wait for spec.paused to be false` };
  return { reason: 'Stable', message: 'nothing is being changed' };
}

function degraded(s: RegionSnapshot): Finding[] {
  const { shards, storageNodes, nameservice, webapi, loadbalancer } = s;
  const findings: Finding[] = [];
  const say = (reason: string, message: string) => void findings.push({ reason, message });
  const stuck = s.pods.flatMap(pod => {
    const told = unschedulable(pod);
    return told === undefined ? [] : [`${pod.metadata.name}: ${told}`];
  });
  if (stuck.length > 0) say('PlacementUnsatisfied', someOf(stuck, 3));
  for (const { name, deployment } of [
    { name: 'webapi', deployment: webapi.deployment },
    { name: 'loadbalancer', deployment: loadbalancer.deployment },
  ]) {
    if (deployment === undefined || isComplete(deployment)) continue;
    const { status, spec } = deployment;
    say('ProgramNotRedundant', `${name} has ${status?.availableReplicas ?? 0} of ${spec?.replicas ?? 0} pods`);
  }
  const silent = nameservice.look?.members.filter(({ isHealthy }) => !isHealthy) ?? [];
  if (silent.length > 0)
    say('NameserviceNotRedundant', `${someOf(silent.map(({ name }) => name))} of nameservice not healthy`);
  const weak = shards.filter(({ status }) => findCondition(status?.conditions, 'Degraded')?.status === 'True');
  if (weak.length > 0)
    say('ShardDegraded', `${someOf(weak.map(({ metadata }) => metadata.name))}: kubectl describe mshard`);
  const poor = storageNodes.filter(node => !isStorageReady(node));
  if (poor.length > 0)
    say('StorageDegraded', `${someOf(poor.map(({ metadata }) => metadata.name))} not ready: kubectl get msn`);
  return findings;
}
