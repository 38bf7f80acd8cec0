import type { Deployment, StatefulSet } from '../../lib/kubernetes/resources.ts';
import { shardNumberOf } from '../../lib/resources/names.ts';
import type { Shard, StorageNode } from '../../lib/resources/types.ts';
import { databaseHosts, indexShards } from '../databases.ts';
import type { OwnedObject } from '../owned.ts';
import { changesTemplate } from '../pods/template-hash.ts';
import { POSEIDON_ENTRIES } from '../secrets/poseidon-key.ts';
import { storageBudget, storageService } from '../storage-node/objects.ts';
import {
  nameserviceBudget,
  nameserviceConfigMap,
  nameserviceService,
  nameserviceStatefulSet,
} from './nameservice/objects.ts';
import { programBudget, programConfigMap } from './programs/deployment.ts';
import { frontDoorService, loadbalancerConfig, loadbalancerDeployment } from './programs/loadbalancer.ts';
import { webapiConfig, webapiDeployment, webapiService } from './programs/webapi.ts';
import { isShardReady } from './readiness.ts';
import { type RolloutPart, rolloutParts, type Turn } from './rollout.ts';
import type { RegionSnapshot } from './snapshot.ts';
import { surroundingsOf } from './surroundings.ts';
import { missingShards, missingStorageNodes } from './templates.ts';

/** One thing to do. All of them may be repeated. */
export type RegionAction =
  | { readonly kind: 'apply'; readonly object: OwnedObject }
  | { readonly kind: 'set-access-right' }
  | { readonly kind: 'create-shard'; readonly shard: Shard }
  | { readonly kind: 'create-storage-node'; readonly node: StorageNode }
  | { readonly kind: 'create-slot-map'; readonly shards: readonly number[] }
  | { readonly kind: 'make-poseidon' };

/** A step of bringing a region up: operations.md §4.1. */
export type Step = 'nameservice' | 'shards' | 'webapi' | 'slot-map' | 'storage-nodes' | 'loadbalancer' | 'done';

/** What a region needs now. */
export interface RegionPlan {
  readonly actions: readonly RegionAction[];
  /** The first step that is not done. */
  readonly step: Step;
}

/**
 * What to do about a region, in order. A step begins when the one before it is ready; what exists already is kept as it
 * should be, whatever becomes of the steps before it. Pure.
 */
export function decideRegion(s: RegionSnapshot, turn: Turn): RegionPlan {
  const isUp = { nameservice: isNameserviceUp(s), shards: areShardsUp(s), webapi: s.webapi.look !== undefined };
  const hasMap = s.webapi.look?.slotMap !== undefined && hasPoseidon(s);
  const isFront = isUp.shards && hasMap;
  return {
    step: stepOf(s, isUp, hasMap),
    actions: [
      ...nameservice(s, turn),
      ...(isUp.nameservice || s.shards.length > 0 ? missingShards(s).map(createShard) : []),
      ...(isUp.shards || s.webapi.deployment !== undefined ? webapi(s, turn) : []),
      ...(isUp.shards ? slotMap(s) : []),
      ...storage(s, isFront),
      ...(isFront || s.loadbalancer.deployment !== undefined ? loadbalancer(s, turn) : []),
    ],
  };
}

function stepOf(
  s: RegionSnapshot,
  isUp: { readonly nameservice: boolean; readonly shards: boolean; readonly webapi: boolean },
  hasMap: boolean,
): Step {
  if (!isUp.nameservice) return 'nameservice';
  if (!isUp.shards) return 'shards';
  if (!isUp.webapi) return 'webapi';
  if (!hasMap) return 'slot-map';
  if (s.storageNodes.length === 0 || missingStorageNodes(s).length > 0) return 'storage-nodes';
  return s.loadbalancer.deployment === undefined ? 'loadbalancer' : 'done';
}

/** Quorum, and the users are there. */
function isNameserviceUp({ nameservice: { look, isAccessRight } }: RegionSnapshot): boolean {
  return look?.clusterId !== undefined && isAccessRight;
}

/** Every shard without which the region has no namespace or no accounts: operations.md §4.1, step 3. */
function areShardsUp(s: RegionSnapshot): boolean {
  const hosts = databaseHosts(s.shards);
  const index = indexShards(s.shards);
  const needed = s.shards.filter(shard => {
    const isHost = [...hosts.values()].some(host => host.metadata.uid === shard.metadata.uid);
    return isHost || index.includes(shardNumberOf(shard.metadata.name));
  });
  return hosts.has('control') && index.length > 0 && missingShards(s).length === 0 && needed.every(isShardReady);
}

function nameservice(s: RegionSnapshot, turn: Turn): RegionAction[] {
  const { view, region, nameservice: found } = s;
  const state = region.status?.nameservice?.clusterId === undefined ? 'new' : 'existing';
  return [
    apply({ in: 'configMaps', intent: nameserviceConfigMap(view, state) }),
    apply({ in: 'services', intent: nameserviceService(view) }),
    apply({ in: 'budgets', intent: nameserviceBudget(view) }),
    ...inTurn(s, turn, 'nameservice', found.statefulSet, [
      { in: 'statefulSets', intent: nameserviceStatefulSet(view) },
    ]),
    ...(found.look?.clusterId === undefined ? [] : [{ kind: 'set-access-right' } as const]),
  ];
}

function webapi(s: RegionSnapshot, turn: Turn): RegionAction[] {
  const { view } = s;
  const around = surroundingsOf(s);
  if (around === undefined) return [];
  const config = webapiConfig(view, around);
  return [
    apply({ in: 'services', intent: webapiService(view) }),
    apply({ in: 'budgets', intent: programBudget(view, 'webapi') }),
    ...inTurn(s, turn, 'webapi', s.webapi.deployment, [
      { in: 'configMaps', intent: programConfigMap(view, 'webapi', config) },
      { in: 'deployments', intent: webapiDeployment(view, around, config) },
    ]),
  ];
}

/**
 * What would replace pods is left as it is until the program has its turn. Its configuration waits with it: a process that
 * starts again in between must find one that its version knows.
 */
function inTurn(
  s: RegionSnapshot,
  { holder }: Turn,
  program: RolloutPart['program'],
  live: StatefulSet | Deployment | undefined,
  objects: readonly OwnedObject[],
): RegionAction[] {
  const workload = objects.find(object => object.in === 'statefulSets' || object.in === 'deployments');
  const isChange = workload !== undefined && changesTemplate(live, workload.intent);
  const isFree = rolloutParts(s).some(part => part.program === program && part.isBroken);
  return isChange && holder?.program !== program && !isFree ? [] : objects.map(apply);
}

/** The system account is there, an operator, with the key of the Secret. */
function hasPoseidon({ webapi: { look }, secrets }: RegionSnapshot): boolean {
  const keyId = secrets.poseidon[POSEIDON_ENTRIES.keyId];
  const hasKey = look?.poseidon?.keys.some(key => key.md5Fingerprint === keyId) ?? false;
  return hasKey && look?.poseidon?.groups.includes('operators') === true;
}

/** Once: a region that has had a slot map never gets another one, because the entries lie where the first one put them. */
function slotMap(s: RegionSnapshot): RegionAction[] {
  const { region, shards } = s;
  const { look } = s.webapi;
  if (look === undefined) return [];
  const isFirst = look.slotMap === undefined && region.status?.slotMap?.version === undefined;
  return [
    ...(isFirst ? [{ kind: 'create-slot-map', shards: indexShards(shards) } as const] : []),
    ...(hasPoseidon(s) ? [] : [{ kind: 'make-poseidon' } as const]),
  ];
}

function storage(s: RegionSnapshot, isFront: boolean): RegionAction[] {
  if (!isFront && s.storageNodes.length === 0) return [];
  return [
    apply({ in: 'services', intent: storageService(s.view) }),
    apply({ in: 'budgets', intent: storageBudget(s.view) }),
    ...(isFront ? missingStorageNodes(s).map(node => ({ kind: 'create-storage-node', node }) as const) : []),
  ];
}

function loadbalancer(s: RegionSnapshot, turn: Turn): RegionAction[] {
  const { view } = s;
  const config = loadbalancerConfig(view);
  return [
    apply({ in: 'services', intent: frontDoorService(view) }),
    apply({ in: 'budgets', intent: programBudget(view, 'loadbalancer') }),
    ...inTurn(s, turn, 'loadbalancer', s.loadbalancer.deployment, [
      { in: 'configMaps', intent: programConfigMap(view, 'loadbalancer', config) },
      { in: 'deployments', intent: loadbalancerDeployment(view, config) },
    ]),
  ];
}

function apply(object: OwnedObject): RegionAction {
  return { kind: 'apply', object };
}

function createShard(shard: Shard): RegionAction {
  return { kind: 'create-shard', shard };
}
