import { type KubernetesObject, keyOf, type Stored } from '../../lib/kubernetes/object.ts';
import { type PersistentVolume, persistentVolumes } from '../../lib/kubernetes/resources.ts';
import { storageIdOf } from '../../lib/resources/names.ts';
import { type StorageNode, type StorageNodeStatus, storageNodes } from '../../lib/resources/types.ts';
import { type ControllerConfig, type ReconcileContext, watching } from '../../operator/runtime/controller.ts';
import { isBeingDeleted } from '../../operator/runtime/finalizer.ts';
import { toController, toSelf } from '../../operator/runtime/owner.ts';
import type { Request, Result } from '../../operator/runtime/request.ts';
import type { ControllerDeps } from '../deps.ts';
import { concernsAll, regionOf } from '../elect-region.ts';
import { labels, SECRETS } from '../names.ts';
import { applyFree, applyOwned } from '../owned.ts';
import { viewOf } from '../region-view.ts';
import { readRegionKey } from '../secrets/region-key.ts';
import { turnsReady } from '../verdict.ts';
import type { WebapiClient } from '../webapi-client.ts';
import { decideStorageNode, type StorageAction } from './decide.ts';
import { judgeStorageNode } from './judge.ts';
import { claimNameOf } from './objects.ts';
import type { StorageSnapshot } from './snapshot.ts';
import { storageNodeStatus, tellStorageNode } from './status.ts';

/** While a storage node is not ready, webapi is asked this often whether it has heard of it. */
const SOON_MS = 2_000;
/** The same for one that is. */
const LATER_MS = 15_000;

/** Keeps the objects of storage nodes as their specs say, and tells webapi what people decide of them: operations.md §4.4. */
export function storageNodeController(deps: ControllerDeps): ControllerConfig {
  const { informers } = deps;
  const owned = toController(storageNodes);
  const toNode = ({ metadata }: Stored<KubernetesObject>): Request[] => {
    const name = metadata.labels?.[labels.storageNode];
    return name === undefined || metadata.namespace === undefined ? [] : [{ namespace: metadata.namespace, name }];
  };
  const toAll = ({ metadata }: Stored<KubernetesObject>): Request[] =>
    informers.storageNodes.list(metadata.namespace).flatMap(node => toSelf(node));
  return {
    name: 'storagenode',
    watches: [
      watching(informers.storageNodes, toSelf),
      watching(informers.mantaRegions, toAll, change => change.kind !== 'updated' || concernsAll(change)),
      watching(informers.statefulSets, owned),
      watching(informers.configMaps, owned),
      watching(informers.pods, toNode),
      watching(informers.claims, toNode),
    ],
    maxConcurrentReconciles: 4,
    reconcile: (request, context) => reconcile(deps, request, context),
  };
}

async function reconcile(deps: ControllerDeps, request: Request, { signal }: ReconcileContext): Promise<Result> {
  const { informers, events, status } = deps;
  const node = informers.storageNodes.get(request);
  if (node === undefined || isBeingDeleted(node)) return {};
  const { snapshot, webapi } = await observe(deps, node, signal);
  const plan = decideStorageNode(snapshot);
  let failure: unknown;
  try {
    for (const action of plan.actions) await act(deps, node, action, webapi, signal);
  } catch (error) {
    // What is known is shown all the same: the status may be what tells why.
    failure = error;
  }
  const before: StorageNodeStatus = node.status ?? {};
  const conditions = judgeStorageNode(snapshot, plan.change);
  const shown = storageNodeStatus(snapshot, conditions);
  const urgent = turnsReady(before.conditions, conditions);
  const written = await status.write(informers.storageNodes, node, shown, { signal, urgent });
  if (written.requeueAfterMs === undefined)
    for (const told of tellStorageNode(before, shown)) events.record(storageNodes, node, told);
  if (failure !== undefined) throw failure;
  const isSettled = conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True');
  return { requeueAfterMs: Math.min(written.requeueAfterMs ?? LATER_MS, isSettled ? LATER_MS : SOON_MS) };
}

async function observe(
  deps: ControllerDeps,
  node: Stored<StorageNode>,
  signal: AbortSignal,
): Promise<{ readonly snapshot: StorageSnapshot; readonly webapi: WebapiClient | undefined }> {
  const { informers, clock } = deps;
  const { name, namespace = '' } = node.metadata;
  const region = regionOf(informers.mantaRegions.list(namespace));
  const view = region === undefined || isBeingDeleted(region) ? undefined : viewOf(region, deps.defaults);
  const claim = informers.claims.get({ namespace, name: claimNameOf({ name, spec: node.spec }) });
  const [regionKey, look, clusterNodes, volume] = await Promise.all([
    deps.secrets.read({ namespace, name: SECRETS.regionKey }, signal),
    view && deps.webapi.look(view),
    deps.nodes.list(signal),
    volumeOf(deps, claim?.spec?.volumeName, signal),
  ]);
  const storageId = view && storageIdOf(name, view.spec);
  return {
    webapi: look?.client,
    snapshot: {
      nowMs: clock.now(),
      node,
      view,
      hasTurn: region?.status?.rollout?.object === name,
      publicKids: readRegionKey(regionKey ?? {})?.publicKids,
      claim,
      volume,
      statefulSet: informers.statefulSets.get({ namespace, name }),
      pod: informers.pods.get({ namespace, name: `${name}-0` }),
      nodes: clusterNodes,
      control: look && { reported: look.nodes.find(reported => reported.storageId === storageId) },
    },
  };
}

/** A get, because the operator may not watch volumes. */
async function volumeOf(
  { kubernetes }: ControllerDeps,
  name: string | undefined,
  signal: AbortSignal,
): Promise<Stored<PersistentVolume> | undefined> {
  return name === undefined || name === '' ? undefined : kubernetes.get(persistentVolumes, { name }, { signal });
}

async function act(
  deps: ControllerDeps,
  node: Stored<StorageNode>,
  action: StorageAction,
  webapi: WebapiClient | undefined,
  signal: AbortSignal,
): Promise<void> {
  switch (action.kind) {
    case 'apply':
      await applyOwned(deps, { resource: storageNodes, object: node }, action.object, signal);
      return;
    case 'apply-free':
      await applyFree(deps, action.object, signal);
      return;
    case 'replace-pod': {
      const { uid } = action.pod.metadata;
      await deps.kubernetes.delete(deps.informers.pods.resource, keyOf(action.pod), { uid, signal });
      return;
    }
    case 'set-node':
      await webapi?.setStorageNode(action.storageId, action.change);
      return;
  }
}
