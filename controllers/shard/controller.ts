import type { Coordinator } from '../../lib/coordinator/coordinator.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { KubernetesObject, Stored } from '../../lib/kubernetes/object.ts';
import { shardNumberOf, shardWorkloadOf } from '../../lib/resources/names.ts';
import { type Shard, type ShardStatus, shards } from '../../lib/resources/types.ts';
import { ordinalOf } from '../../lib/shard/records.ts';
import { setConditions } from '../../operator/runtime/condition.ts';
import { type ControllerConfig, type ReconcileContext, watching } from '../../operator/runtime/controller.ts';
import { isBeingDeleted } from '../../operator/runtime/finalizer.ts';
import { toController, toSelf } from '../../operator/runtime/owner.ts';
import type { Request, Result } from '../../operator/runtime/request.ts';
import { takenDatabase } from '../databases.ts';
import type { ControllerDeps } from '../deps.ts';
import { concernsAll, regionOf } from '../elect-region.ts';
import { labels, SECRETS } from '../names.ts';
import { type RegionView, viewOf } from '../region-view.ts';
import { turnsReady } from '../verdict.ts';
import type { SlotMap } from '../webapi-client.ts';
import { actOnShard } from './act.ts';
import { decideShard } from './decide.ts';
import { readHistory } from './history.ts';
import { judgeShard, refusedShard } from './judge.ts';
import { lookAtShard } from './look.ts';
import type { ShardRefusal, ShardSnapshot } from './snapshot.ts';
import { shardStatus } from './status.ts';
import { tellShard } from './tell.ts';

/** While a shard is not as it should be, etcd is asked this often: no watch of the API server tells of it. */
const SOON_MS = 1_000;
/** The same for one that is. */
const LATER_MS = 10_000;

/** Keeps the objects of shards as their specs say, and shows what their peers have agreed on: operations.md §4.3. */
export function shardController(deps: ControllerDeps): ControllerConfig {
  const { informers } = deps;
  const owned = toController(shards);
  const toShard = ({ metadata }: Stored<KubernetesObject>): Request[] => {
    const name = metadata.labels?.[labels.shard];
    return name === undefined || metadata.namespace === undefined ? [] : [{ namespace: metadata.namespace, name }];
  };
  const toAll = ({ metadata }: Stored<KubernetesObject>): Request[] =>
    informers.shards.list(metadata.namespace).flatMap(shard => toSelf(shard));
  return {
    name: 'shard',
    watches: [
      watching(informers.shards, toSelf),
      watching(informers.mantaRegions, toAll, change => change.kind !== 'updated' || concernsAll(change)),
      watching(informers.statefulSets, owned),
      watching(informers.services, owned),
      watching(informers.configMaps, owned),
      watching(informers.budgets, owned),
      watching(informers.pods, toShard),
      watching(informers.claims, toShard),
    ],
    maxConcurrentReconciles: 4,
    reconcile: (request, context) => reconcile(deps, request, context),
  };
}

async function reconcile(deps: ControllerDeps, request: Request, { signal }: ReconcileContext): Promise<Result> {
  const { informers, events, status } = deps;
  const shard = informers.shards.get(request);
  if (shard === undefined || isBeingDeleted(shard)) return {};
  const all = informers.shards.list(request.namespace);
  const region = regionOf(informers.mantaRegions.list(request.namespace));
  const taken = takenDatabase(shard, all);
  if (region === undefined || isBeingDeleted(region)) return refuse(deps, shard, { kind: 'no-region' }, signal);
  if (taken !== undefined) return refuse(deps, shard, { kind: 'database-taken', ...taken }, signal);

  const view = viewOf(region, deps.defaults);
  const nameservice = await deps.secrets.read({ namespace: view.namespace, name: SECRETS.nameservice }, signal);
  const coordinator = nameservice && deps.clients.coordinator(view, nameservice);
  const snapshot = await observe(
    deps,
    view,
    shard,
    coordinator,
    region.status?.rollout?.object === request.name,
    signal,
  );
  const plan = decideShard(snapshot);
  let failure: unknown;
  let hasChanged = false;
  try {
    hasChanged = await actOnShard(deps, snapshot, plan.actions, coordinator, signal);
  } catch (error) {
    failure = error;
  }
  const conditions = judgeShard(snapshot, plan.rollout);
  const vnodes = vnodesOf(shard, (await deps.webapi.look(view))?.slotMap);
  const history = await newHistory(snapshot, coordinator);
  const shown = shardStatus(snapshot, conditions, {
    ...(vnodes === undefined ? {} : { vnodes }),
    ...(history === undefined ? {} : { history }),
  });
  const before: ShardStatus = shard.status ?? {};
  const urgent =
    before.primary !== shown.primary || before.sync !== shown.sync || turnsReady(before.conditions, conditions);
  const written = await status.write(informers.shards, shard, shown, { signal, urgent });
  if (written.requeueAfterMs === undefined)
    for (const told of tellShard(before, shown, snapshot.look?.state?.cause)) events.record(shards, shard, told);
  if (failure !== undefined) throw failure;
  const isSettled =
    !hasChanged &&
    conditions.every(
      ({ type, status: is }) => (type !== 'Ready' || is === 'True') && (type !== 'Degraded' || is === 'False'),
    );
  return { requeueAfterMs: Math.min(written.requeueAfterMs ?? LATER_MS, isSettled ? LATER_MS : SOON_MS) };
}

async function observe(
  { informers, nodes, clock }: ControllerDeps,
  view: RegionView,
  shard: Stored<Shard>,
  coordinator: Coordinator | undefined,
  hasTurn: boolean,
  signal: AbortSignal,
): Promise<ShardSnapshot> {
  const { namespace } = view;
  const { name } = shard.metadata;
  const isOwn = ({ metadata }: KubernetesObject) => metadata?.labels?.[labels.shard] === name;
  const [look, clusterNodes] = await Promise.all([
    coordinator && lookAtShard(coordinator, shardNumberOf(name)),
    nodes.list(signal),
  ]);
  return {
    nowMs: clock.now(),
    shard,
    view,
    hasTurn,
    look,
    statefulSet: informers.statefulSets.get({ namespace, name: shardWorkloadOf(name) }),
    pods: informers.pods
      .list(namespace)
      .filter(isOwn)
      .sort((a, b) => ordinalOf(a.metadata.name) - ordinalOf(b.metadata.name)),
    claims: informers.claims.list(namespace).filter(isOwn),
    nodes: clusterNodes,
  };
}

/** Undefined while nobody knows. */
function vnodesOf({ metadata }: Stored<Shard>, map: SlotMap | undefined): number | undefined {
  const own = map?.ranges.filter(({ shard }) => shard === shardNumberOf(metadata.name));
  return own?.reduce((sum, { lo, hi }) => sum + hi - lo + 1, 0);
}

/** Read only when there is something new in it. */
async function newHistory(
  { look, shard }: ShardSnapshot,
  coordinator: Coordinator | undefined,
): Promise<ShardStatus['history']> {
  const seq = look?.state?.seq;
  if (coordinator === undefined || seq === undefined || shard.status?.history?.[0]?.seq === seq) return undefined;
  try {
    return await readHistory(coordinator, shardNumberOf(shard.metadata.name));
  } catch (error) {
    if (error instanceof MantaError && error.code === 'CoordinatorUnavailable') return undefined;
    throw error;
  }
}

async function refuse(
  { informers, status, clock }: ControllerDeps,
  shard: Stored<Shard>,
  refusal: ShardRefusal,
  signal: AbortSignal,
): Promise<Result> {
  const before: ShardStatus = shard.status ?? {};
  const conditions = refusedShard(shard.metadata.generation, refusal);
  const shown: ShardStatus = { ...before, conditions: setConditions(before.conditions, conditions, clock.now()) };
  return status.write(informers.shards, shard, shown, { signal });
}
