import type { Stored } from '../../lib/kubernetes/object.ts';
import type { PersistentVolumeClaim } from '../../lib/kubernetes/resources.ts';
import { storageNumberOf } from '../../lib/resources/names.ts';
import type { MantaRegion } from '../../lib/resources/types.ts';
import { byNumber } from '../databases.ts';
import type { ControllerDeps } from '../deps.ts';
import { labels, NAMESERVICE, nameserviceHost, nameserviceMembers, PORTS } from '../names.ts';
import type { RegionView } from '../region-view.ts';
import type { SecretData } from '../secrets/secret-data.ts';
import type { AccessKeeper } from './nameservice/access-keeper.ts';
import { lookAtNameservice, type NameserviceLook } from './nameservice/look.ts';
import { FRONT_DOOR } from './programs/loadbalancer.ts';
import type { RegionSecrets, RegionSnapshot } from './snapshot.ts';

/** What observing a region stands on. */
export type ObserveDeps = Pick<ControllerDeps, 'informers' | 'clients' | 'clock' | 'nodes' | 'webapi'> & {
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
    deps.webapi.look(view),
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
    statefulSets: new Map(informers.statefulSets.list(namespace).map(set => [set.metadata.name, set])),
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
