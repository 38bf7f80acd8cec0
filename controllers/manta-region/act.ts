import { mantaRegions } from '../../lib/resources/types.ts';
import type { ControllerDeps } from '../deps.ts';
import { applyOwned, type OwnedObject } from '../owned.ts';
import { POSEIDON, POSEIDON_ENTRIES } from '../secrets/poseidon-key.ts';
import type { RegionAction, RegionPlan } from './decide.ts';
import type { AccessKeeper } from './nameservice/access-keeper.ts';
import type { RegionSnapshot } from './snapshot.ts';

/** What acting on a region stands on. */
export type ActDeps = Pick<ControllerDeps, 'applier' | 'clients' | 'events' | 'informers' | 'kubernetes' | 'webapi'> & {
  readonly access: AccessKeeper;
};

/**
 * Carries the plan out, in its order. True when something was changed, so that looking again makes sense soon. Throws what
 * the first failing call throws; everything before it is done, and all of it can be done again.
 */
export async function actOnRegion(
  deps: ActDeps,
  snapshot: RegionSnapshot,
  plan: RegionPlan,
  signal: AbortSignal,
): Promise<boolean> {
  let hasChanged = false;
  for (const action of plan.actions) {
    signal.throwIfAborted();
    if (await act(deps, snapshot, action, signal)) hasChanged = true;
  }
  return hasChanged;
}

async function act(
  deps: ActDeps,
  snapshot: RegionSnapshot,
  action: RegionAction,
  signal: AbortSignal,
): Promise<boolean> {
  const { access, clients, events, informers, kubernetes } = deps;
  const { region, view, secrets, shards } = snapshot;
  const webapi = snapshot.webapi.look?.client;
  switch (action.kind) {
    case 'apply':
      return applyObject(deps, snapshot, action.object, signal);
    case 'set-access-right': {
      if (access.isRight(view, secrets.nameservice, shards)) return false;
      const gateway = clients.gateway(view, secrets.nameservice);
      if (gateway !== undefined) await access.setRight(gateway, view, secrets.nameservice, shards);
      return true;
    }
    case 'create-shard':
      informers.shards.observe(await kubernetes.create(informers.shards.resource, action.shard, { signal }));
      return true;
    case 'create-storage-node':
      informers.storageNodes.observe(await kubernetes.create(informers.storageNodes.resource, action.node, { signal }));
      return true;
    case 'create-slot-map': {
      const map = await webapi?.createSlotMap(action.shards);
      deps.webapi.forget(view);
      const note = `version ${map?.version} over ${action.shards.map(number => `shard-${number}`).join(', ')}`;
      events.record(mantaRegions, region, { type: 'Normal', reason: 'SlotMapCreated', action: 'BringUp', note });
      return true;
    }
    case 'make-poseidon':
      await webapi?.putAccount(POSEIDON, { email: `${POSEIDON}@${view.spec.domainSuffix}`, groups: ['operators'] });
      await webapi?.putKey(POSEIDON, 'manta-poseidon', secrets.poseidon[POSEIDON_ENTRIES.publicKey] ?? '');
      deps.webapi.forget(view);
      return true;
  }
}

async function applyObject(
  deps: ActDeps,
  { region }: RegionSnapshot,
  object: OwnedObject,
  signal: AbortSignal,
): Promise<boolean> {
  const { outcome } = await applyOwned(deps, { resource: mantaRegions, object: region }, object, signal);
  const isWorkload = object.in === 'statefulSets' || object.in === 'deployments';
  if (isWorkload && outcome === 'created') {
    const note = `${object.intent.metadata.name} was created`;
    deps.events.record(mantaRegions, region, { type: 'Normal', reason: 'ProgramStarted', action: 'BringUp', note });
  }
  return outcome !== 'unchanged';
}
