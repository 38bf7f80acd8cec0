import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Stored } from '../../lib/kubernetes/object.ts';
import type { PersistentVolumeClaim, Pod } from '../../lib/kubernetes/resources.ts';
import { storageNumberOf } from '../../lib/resources/names.ts';
import type { MantaRegion } from '../../lib/resources/types.ts';
import { byNumber } from '../databases.ts';
import type { ControllerDeps } from '../deps.ts';
import { labels, NAMESERVICE, nameserviceHost, nameserviceMembers, PORTS } from '../names.ts';
import type { RegionView } from '../region-view.ts';
import { POSEIDON, POSEIDON_ENTRIES } from '../secrets/poseidon-key.ts';
import type { SecretData } from '../secrets/secret-data.ts';
import type { AccessKeeper } from './nameservice/access-keeper.ts';
import { lookAtNameservice, type NameserviceLook } from './nameservice/look.ts';
import { FRONT_DOOR } from './programs/loadbalancer.ts';
import type { RegionSecrets, RegionSnapshot, WebapiLook } from './snapshot.ts';

/** What observing a region stands on. */
export type ObserveDeps = Pick<ControllerDeps, 'informers' | 'clients' | 'clock' | 'nodes'> & {
  readonly access: AccessKeeper;
};

/** Everything that is decided by: the cached objects, and what etcd and webapi answer within seconds. Throws ApiError. */
export async function observeRegion(
  deps: ObserveDeps,
  region: Stored<MantaRegion>,
  view: RegionView,
  secrets: RegionSecrets,
  signal: AbortSignal,
): Promise<RegionSnapshot> {
  const { informers } = deps;
  const { namespace } = view;
  const pods = informers.pods.list(namespace).filter(pod => pod.metadata.labels?.[labels.region] === view.name);
  const statefulSet = informers.statefulSets.get({ namespace, name: NAMESERVICE });
  const deployment = (name: string) => informers.deployments.get({ namespace, name });
  const shards = byNumber(informers.shards.list(namespace));
  const [nodes, look, webapi] = await Promise.all([
    deps.nodes.list(signal),
    statefulSet === undefined ? undefined : lookAt(deps, view, secrets.nameservice),
    askWebapi(deps, view, secrets, pods),
  ]);
  return {
    nowMs: deps.clock.now(),
    region,
    view,
    secrets,
    nameservice: {
      statefulSet,
      look,
      claims: claimsOf(informers.claims.list(namespace), nameserviceMembers(view.spec.nameservice.members)),
      isAccessRight: deps.access.isRight(view, secrets.nameservice, shards),
    },
    shards,
    storageNodes: [...informers.storageNodes.list(namespace)].sort(
      (a, b) => storageNumberOf(a.metadata.name) - storageNumberOf(b.metadata.name),
    ),
    webapi: { deployment: deployment('webapi'), look: webapi },
    loadbalancer: {
      deployment: deployment('loadbalancer'),
      service: informers.services.get({ namespace, name: FRONT_DOOR }),
    },
    pods,
    nodes,
  };
}

async function lookAt(
  deps: ObserveDeps,
  view: RegionView,
  nameservice: SecretData,
): Promise<NameserviceLook | undefined> {
  const gateway = deps.clients.gateway(view, nameservice);
  const places = nameserviceMembers(view.spec.nameservice.members).map(name => ({
    name,
    endpoint: deps.clients.addressOf(view, name),
    peerUrl: `https://${nameserviceHost(name, view.namespace)}:${PORTS.etcdPeer}`,
  }));
  return gateway && lookAtNameservice(gateway, places);
}

/** Of the pods that are ready, else of one that runs: before the slot map is there none of them can be ready. */
async function askWebapi(
  deps: ObserveDeps,
  view: RegionView,
  { regionKey, poseidon }: RegionSecrets,
  pods: readonly Stored<Pod>[],
): Promise<WebapiLook | undefined> {
  const running = pods
    .filter(pod => pod.metadata.labels?.[labels.service] === 'webapi')
    .filter(pod => pod.status?.podIP !== undefined && pod.metadata.deletionTimestamp === undefined)
    .sort((a, b) => Number(isReady(b)) - Number(isReady(a)));
  for (const pod of running) {
    const client = deps.clients.webapi(view, regionKey, pod.status?.podIP ?? '');
    if (client === undefined) return undefined;
    try {
      const [slotMap, account, nodes] = await Promise.all([
        client.slotMap(),
        client.account(POSEIDON),
        client.storageNodes(),
      ]);
      const keyId = poseidon[POSEIDON_ENTRIES.keyId];
      const hasKey = account?.keys.some(key => key.md5Fingerprint === keyId) ?? false;
      return { client, slotMap, nodes, hasPoseidon: hasKey && (account?.groups.includes('operators') ?? false) };
    } catch (error) {
      // Silence of one process, or of what it stands on, is what is observed; the next one may know better.
      if (!(error instanceof MantaError)) throw error;
    }
  }
  return undefined;
}

/** Whether Kubernetes sends anybody to the pod. */
export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

function claimsOf(
  claims: readonly Stored<PersistentVolumeClaim>[],
  members: readonly string[],
): ReadonlyMap<string, string> {
  const found = members.flatMap(member => {
    const claim = claims.find(({ metadata }) => metadata.name === `data-${member}`);
    return claim === undefined ? [] : [[member, claim.metadata.uid] as const];
  });
  return new Map(found);
}
