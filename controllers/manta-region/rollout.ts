import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Pod, StatefulSet } from '../../lib/kubernetes/resources.ts';
import { shardWorkloadOf } from '../../lib/resources/names.ts';
import type { Program } from '../../lib/resources/profile-defaults.ts';
import type { MantaRegionStatusRollout } from '../../lib/resources/types.ts';
import { isConditionTrue } from '../../operator/runtime/condition.ts';
import { isBroken, isReady } from '../pods/pod-state.ts';
import { changesTemplate, outdatedPods } from '../pods/template-hash.ts';
import { readRegionKey } from '../secrets/region-key.ts';
import { layoutOf } from '../shard/layout.ts';
import { shardStatefulSet } from '../shard/objects.ts';
import { storageConfig, storageStatefulSet } from '../storage-node/objects.ts';
import { nameserviceStatefulSet } from './nameservice/objects.ts';
import { loadbalancerConfig, loadbalancerDeployment } from './programs/loadbalancer.ts';
import { webapiConfig, webapiDeployment } from './programs/webapi.ts';
import { isBrokenFor, isComplete } from './readiness.ts';
import type { RegionSnapshot } from './snapshot.ts';
import { surroundingsOf } from './surroundings.ts';

/** Something whose pods are replaced as a whole, one after the other in a region. */
export interface RolloutPart {
  readonly program: Program;
  /** Name of the workload's resource: a Shard, a StorageNode, or the program itself. */
  readonly object: string;
  /** It has pods of another template than it should, or is about to. */
  readonly isDue: boolean;
  /** Every pod is of the newest template and ready. */
  readonly isSettled: boolean;
  /** It serves so little already that a change can only help: it needs no turn, and nobody waits for it. */
  readonly isBroken: boolean;
}

/** Who may replace pods. */
export interface Turn {
  readonly holder: RolloutPart | undefined;
  /** As the status shows it. */
  readonly rollout: MantaRegionStatusRollout | undefined;
  /** Parts that wait for their turn. */
  readonly waiting: readonly RolloutPart[];
}

/**
 * One thing rolls at a time: nameservice; shards by number; storage nodes; webapi; loadbalancer (operations.md §4.6). Who has
 * the turn keeps it until all its pods are ready with the new template; one that is broken neither needs nor holds it. Pure.
 */
export function decideTurn(s: RegionSnapshot): Turn {
  const parts = rolloutParts(s);
  const before = s.region.status?.rollout;
  const due = parts.filter(part => part.isDue && !part.isBroken);
  const held = parts.find(({ program, object }) => program === before?.program && object === before?.object);
  const isHeld = held !== undefined && !held.isBroken && (held.isDue || !held.isSettled);
  const holder = s.view.spec.paused && !isHeld ? undefined : isHeld ? held : due[0];
  const waiting = due.filter(part => part !== holder);
  if (holder === undefined || (s.view.spec.paused && holder.isSettled))
    return { holder: undefined, rollout: undefined, waiting };
  const isSame = holder === held;
  return {
    holder,
    waiting,
    rollout: {
      program: holder.program,
      object: holder.object,
      to: s.view.image(holder.program),
      startedAt: (isSame ? before?.startedAt : undefined) ?? new Date(s.nowMs).toISOString().replace(/\.\d+Z$/, 'Z'),
    },
  };
}

/** Everything that can be rolled, in the order in which it is. */
export function rolloutParts(s: RegionSnapshot): readonly RolloutPart[] {
  return [...nameservicePart(s), ...shardParts(s), ...storageParts(s), ...programParts(s)];
}

function nameservicePart({ view, nameservice: { statefulSet, look } }: RegionSnapshot): RolloutPart[] {
  if (statefulSet === undefined) return [];
  const { status, spec } = statefulSet;
  const desired = spec?.replicas ?? 0;
  const isUpdated = status?.currentRevision === status?.updateRevision || (status?.updatedReplicas ?? 0) === desired;
  return [
    {
      program: 'nameservice',
      object: 'nameservice',
      isDue: changesTemplate(statefulSet, nameserviceStatefulSet(view)) || !isUpdated,
      isSettled: isSeen(statefulSet) && isUpdated && (status?.readyReplicas ?? 0) === desired,
      isBroken: look?.clusterId === undefined,
    },
  ];
}

function shardParts(s: RegionSnapshot): RolloutPart[] {
  return s.shards.flatMap((shard): RolloutPart[] => {
    const { name } = shard.metadata;
    const set = s.statefulSets.get(shardWorkloadOf(name));
    if (set === undefined) return [];
    const pods = podsOf(s, set);
    const named = { name, spec: shard.spec };
    // Without a look at etcd the number of pods stays; the template does not depend on it.
    const wanted = shardStatefulSet(s.view, named, layoutOf({ spec: shard.spec, statefulSet: set, state: undefined }));
    const areReady = pods.length === (set.spec?.replicas ?? 0) && pods.every(isReady);
    const outdated = outdatedPods(set, pods);
    return [
      {
        program: 'postgres',
        object: name,
        isDue: changesTemplate(set, wanted) || outdated.length > 0,
        isSettled: isSeen(set) && outdated.length === 0 && areReady,
        // It keeps its pods until it is whole again; who has begun already goes on when it is.
        isBroken:
          shard.spec.peers > 1 &&
          !isConditionTrue(shard.status?.conditions, 'FaultTolerant') &&
          !areReady &&
          !isHolder(s, name),
      },
    ];
  });
}

function isHolder({ region }: RegionSnapshot, object: string): boolean {
  return region.status?.rollout?.object === object;
}

/** Zone by zone, so that no second zone is touched before the first one is done. */
function storageParts(s: RegionSnapshot): RolloutPart[] {
  const publicKids = readRegionKey(s.secrets.regionKey)?.publicKids ?? [];
  const { zones } = s.view.spec;
  const byZone = [...s.storageNodes].sort((a, b) => zones.indexOf(a.spec.zone) - zones.indexOf(b.spec.zone));
  return byZone.flatMap((node): RolloutPart[] => {
    const { name } = node.metadata;
    const set = s.statefulSets.get(name);
    if (set === undefined) return [];
    const pods = podsOf(s, set);
    const named = { name, spec: node.spec };
    const wanted = storageStatefulSet(s.view, named, { config: storageConfig(s.view, named, publicKids), publicKids });
    const outdated = outdatedPods(set, pods);
    const isServed = pods.length > 0 && pods.every(isReady);
    return [
      {
        program: 'storage',
        object: name,
        isDue: changesTemplate(set, wanted) || outdated.length > 0,
        isSettled:
          isSeen(set) && outdated.length === 0 && isServed && isConditionTrue(node.status?.conditions, 'Ready'),
        isBroken: !isHolder(s, name) && (pods.length === 0 || pods.some(pod => isBroken(pod, s.nowMs))),
      },
    ];
  });
}

function programParts(s: RegionSnapshot): RolloutPart[] {
  const { view } = s;
  const around = surroundingsOf(s);
  const wanted = {
    webapi: around && webapiDeployment(view, around, webapiConfig(view, around)),
    loadbalancer: loadbalancerDeployment(view, loadbalancerConfig(view)),
  };
  return (['webapi', 'loadbalancer'] as const).flatMap((program): RolloutPart[] => {
    const { deployment } = s[program];
    const intent = wanted[program];
    if (deployment === undefined || intent === undefined) return [];
    const isUpdated = (deployment.status?.updatedReplicas ?? 0) >= (deployment.spec?.replicas ?? 0);
    return [
      {
        program,
        object: program,
        isDue: changesTemplate(deployment, intent) || !isUpdated,
        isSettled: isComplete(deployment),
        isBroken: isBrokenFor(deployment, s.nowMs),
      },
    ];
  });
}

/** Its controller has looked at the newest template: before, no pod is known to be outdated. */
function isSeen({ metadata, status }: StatefulSet): boolean {
  return status?.observedGeneration === metadata?.generation;
}

function podsOf({ pods }: RegionSnapshot, set: Stored<StatefulSet>): readonly Stored<Pod>[] {
  return pods.filter(pod => pod.metadata.ownerReferences?.some(({ uid }) => uid === set.metadata.uid));
}
