import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { Coordinator } from '../lib/coordinator/coordinator.ts';
import { createEtcdCoordinator } from '../lib/coordinator/etcd.ts';
import type { Clock } from '../lib/lifecycle/clock.ts';
import { createTokenSigner, type TokenSigner } from '../lib/region-token/region-token.ts';
import { createEtcdGateway, type EtcdGateway } from './manta-region/nameservice/etcd-gateway.ts';
import { nameserviceHost, nameserviceMembers, PORTS } from './names.ts';
import type { RegionView } from './region-view.ts';
import { NAMESERVICE_ENTRIES } from './secrets/nameservice-secret.ts';
import { readRegionKey } from './secrets/region-key.ts';
import type { SecretData } from './secrets/secret-data.ts';
import { createWebapiClient, type WebapiClient } from './webapi-client.ts';

/** Where the programs of a region listen. */
export interface Addresses {
  /** URL of a member's client port. */
  nameservice(view: RegionView, member: string): string;
  /** URL of the control port of a webapi pod with this IP: the Service has none of them before the slot map is there. */
  webapi(podIp: string): string;
}

/** By cluster DNS, and by the addresses of pods. */
export const clusterAddresses: Addresses = {
  nameservice: ({ namespace }, member) => `https://${nameserviceHost(member, namespace)}:${PORTS.etcdClient}`,
  webapi: podIp => `http://${podIp.includes(':') ? `[${podIp}]` : podIp}:${PORTS.control}`,
};

/**
 * The operator's connections to the programs of its regions. The same client is given out as long as the credentials and
 * the addresses are the same; undefined while the Secret lacks what it takes.
 */
export interface RegionClients {
  /** For users and members. */
  gateway(view: RegionView, nameservice: SecretData): EtcdGateway | undefined;
  /** As the user `operator`, for the state and the configuration of shards. */
  coordinator(view: RegionView, nameservice: SecretData): Coordinator | undefined;
  /** With a token of the region's key. */
  webapi(view: RegionView, regionKey: SecretData, podIp: string): WebapiClient | undefined;
  signer(view: RegionView, regionKey: SecretData): TokenSigner | undefined;
  addressOf(view: RegionView, member: string): string;
  close(): Promise<void>;
}

/** The operator never needs an answer at once, and etcd that is under load should not look away to it. */
const COORDINATOR_MS = 2_000;

export function createRegionClients(
  deps: { readonly logger: Logger; readonly clock: Clock; readonly addresses: Addresses },
  config: { /** Of this process, in tokens. */ readonly instance: string },
): RegionClients {
  const { addresses, clock, logger } = deps;
  const opened = new Map<string, { readonly digest: string; readonly client: { close(): Promise<void> } }>();

  /** One client a place; another one takes it when what it was made of changes. */
  function keep<T extends { close(): Promise<void> }>(place: string, madeOf: readonly string[], make: () => T): T {
    const digest = createHash('sha256').update(JSON.stringify(madeOf)).digest('base64');
    const known = opened.get(place);
    if (known?.digest === digest) return known.client as T;
    void known?.client.close();
    const client = make();
    opened.set(place, { digest, client });
    return client;
  }

  function endpointsOf(view: RegionView): string[] {
    return nameserviceMembers(view.spec.nameservice.members).map(member => addresses.nameservice(view, member));
  }

  function signer(view: RegionView, regionKey: SecretData): TokenSigner | undefined {
    const key = readRegionKey(regionKey);
    if (key === undefined) return undefined;
    const { kid, privateKey } = key;
    const region = view.spec.regionName;
    return createTokenSigner({ region, subject: `operator/${config.instance}`, kid, privateKey, clock });
  }

  return {
    gateway(view, data) {
      const ca = data[NAMESERVICE_ENTRIES.caCertificate];
      const rootPassword = data[NAMESERVICE_ENTRIES.passwordOf('root')];
      if (!ca || !rootPassword) return undefined;
      const endpoints = endpointsOf(view);
      return keep(`${view.namespace}/gateway`, [ca, rootPassword, ...endpoints], () =>
        createEtcdGateway({ endpoints, ca, rootPassword }),
      );
    },
    coordinator(view, data) {
      const ca = data[NAMESERVICE_ENTRIES.caCertificate];
      const password = data[NAMESERVICE_ENTRIES.passwordOf('operator')];
      if (!ca || !password) return undefined;
      const endpoints = endpointsOf(view);
      return keep(`${view.namespace}/coordinator`, [ca, password, ...endpoints], () =>
        createEtcdCoordinator(
          { logger, clock },
          {
            endpoints,
            deadlineMs: COORDINATOR_MS,
            tls: { root: Buffer.from(ca) },
            credentials: async () => ({ username: 'operator', password }),
          },
        ),
      );
    },
    signer,
    webapi(view, data, podIp) {
      const tokens = signer(view, data);
      return tokens && createWebapiClient({ signer: tokens }, { url: addresses.webapi(podIp) });
    },
    addressOf: addresses.nameservice,
    async close() {
      await Promise.all([...opened.values()].map(({ client }) => client.close()));
      opened.clear();
    },
  };
}
