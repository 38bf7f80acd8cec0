import type { KubernetesObject, Stored } from '../../lib/kubernetes/object.ts';
import { type MantaRegion, type MantaRegionStatus, mantaRegions } from '../../lib/resources/types.ts';
import { setConditions } from '../../operator/runtime/condition.ts';
import { type ControllerConfig, type ReconcileContext, watching } from '../../operator/runtime/controller.ts';
import { isBeingDeleted } from '../../operator/runtime/finalizer.ts';
import type { Informer } from '../../operator/runtime/informer.ts';
import { toController, toSelf } from '../../operator/runtime/owner.ts';
import type { Request, Result } from '../../operator/runtime/request.ts';
import type { ControllerDeps } from '../deps.ts';
import { regionOf } from '../elect-region.ts';
import { labels } from '../names.ts';
import { viewOf } from '../region-view.ts';
import { turnsReady } from '../verdict.ts';
import { actOnRegion } from './act.ts';
import { decideRegion } from './decide.ts';
import { judgeRegion, refusedRegion } from './judge.ts';
import { type AccessKeeper, createAccessKeeper } from './nameservice/access-keeper.ts';
import { observeRegion } from './observe.ts';
import { completeSecrets } from './own-secrets.ts';
import { decideTurn } from './rollout.ts';
import { regionStatus } from './status.ts';
import { tellRegion } from './tell.ts';

/** While a region comes up, etcd and webapi are asked this often: no watch tells of them. */
const SOON_MS = 1_000;
/** The same for a region that is as it should be. */
const LATER_MS = 15_000;

/** Brings regions up and keeps them as their specs say: operations.md §4.1. */
export function mantaRegionController(deps: ControllerDeps): ControllerConfig {
  const access = createAccessKeeper(deps);
  const { informers } = deps;
  const owned = toController(informers.mantaRegions.resource);
  /** Shards, storage nodes, pods and claims belong to the one region of their namespace. */
  const toRegion = ({ metadata }: Stored<KubernetesObject>): Request[] => {
    const region = regionOf(informers.mantaRegions.list(metadata.namespace));
    return region === undefined ? [] : toSelf(region).slice();
  };
  return {
    name: 'mantaregion',
    watches: [
      watching(informers.mantaRegions, object => [...toSelf(object), ...toRegion(object)]),
      ...(
        [
          informers.statefulSets,
          informers.deployments,
          informers.services,
          informers.configMaps,
          informers.budgets,
        ] as const
      ).map(informer => watching(informer as unknown as Informer<KubernetesObject>, owned)),
      watching(informers.shards, toRegion),
      watching(informers.storageNodes, toRegion),
      watching(informers.pods, toRegion, ({ object }) => object.metadata.labels?.[labels.region] !== undefined),
    ],
    reconcile: (request, context) => reconcile(deps, access, request, context),
  };
}

async function reconcile(
  deps: ControllerDeps,
  access: AccessKeeper,
  request: Request,
  { signal }: ReconcileContext,
): Promise<Result> {
  const { informers, status } = deps;
  const region = informers.mantaRegions.get(request);
  if (region === undefined || isBeingDeleted(region)) return {};
  const elected = regionOf(informers.mantaRegions.list(request.namespace));
  if (elected !== undefined && elected.metadata.uid !== region.metadata.uid)
    return refuse(deps, region, elected, signal);

  const view = viewOf(region, deps.defaults);
  const holders = {
    shards: informers.shards.list(view.namespace),
    storageNodes: informers.storageNodes.list(view.namespace),
  };
  const secrets = await completeSecrets(deps, view, holders, signal);
  const snapshot = await observeRegion({ ...deps, access }, region, view, secrets, signal);
  const turn = decideTurn(snapshot);
  const plan = decideRegion(snapshot, turn);
  let failure: unknown;
  let hasChanged = false;
  try {
    hasChanged = await actOnRegion({ ...deps, access }, snapshot, plan, signal);
  } catch (error) {
    // What is known is shown all the same: the status may be what tells why.
    failure = error;
  }
  const conditions = judgeRegion(snapshot, plan, turn);
  const before: MantaRegionStatus = region.status ?? {};
  const shown = regionStatus(snapshot, conditions, turn);
  const urgent = before.rollout?.object !== shown.rollout?.object || turnsReady(before.conditions, conditions);
  const written = await status.write(informers.mantaRegions, region, shown, { signal, urgent });
  if (written.requeueAfterMs === undefined)
    for (const told of tellRegion(before, shown)) deps.events.record(mantaRegions, region, told);
  if (failure !== undefined) throw failure;
  const isSettled = plan.step === 'done' && !hasChanged && conditions.some(({ reason }) => reason === 'AllReady');
  const requeueAfterMs = Math.min(written.requeueAfterMs ?? LATER_MS, isSettled ? LATER_MS : SOON_MS);
  return { requeueAfterMs };
}

async function refuse(
  { informers, status, clock }: ControllerDeps,
  region: Stored<MantaRegion>,
  elected: Stored<MantaRegion>,
  signal: AbortSignal,
): Promise<Result> {
  const finding = {
    reason: 'AnotherRegion',
    message: `this namespace is that of region ${elected.metadata.name}: a further region needs a namespace and a release of its own`,
  };
  const conditions = refusedRegion(region.metadata.generation, finding);
  const before: MantaRegionStatus = region.status ?? {};
  const shown = { ...before, conditions: setConditions(before.conditions, conditions, clock.now()) };
  return status.write(informers.mantaRegions, region, shown as MantaRegionStatus, { signal });
}
