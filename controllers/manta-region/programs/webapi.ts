import { stringify } from 'yaml';
import type { z } from 'zod';
import { programConfigSchema } from '../../../images/webapi/program-config.ts';
import type { Intent } from '../../../lib/kubernetes/object.ts';
import type { Deployment, Service } from '../../../lib/kubernetes/resources.ts';
import { ETCD_ROOT, nameserviceEndpoints, PORTS, SECRETS } from '../../names.ts';
import { replicatedPlacement } from '../../pods/placement.ts';
import { fromPod, httpProbe, secretVolume } from '../../pods/pod-template.ts';
import type { RegionView } from '../../region-view.ts';
import { NAMESERVICE_ENTRIES } from '../../secrets/nameservice-secret.ts';
import { postgresEntry } from '../../secrets/postgres-secret.ts';
import { regionKeyEntries } from '../../secrets/region-key.ts';
import { CONFIG_DIRECTORY, CONFIG_FILE, metadataOf, programDeployment, selectorOf } from './deployment.ts';

/** What webapi has to know of the region beside its spec. */
export interface WebapiSurroundings {
  /** Numbers of the shards that hold part of the namespace, ascending; at least one. */
  readonly indexShards: readonly number[];
  /** Number of the shard that hosts `control`. */
  readonly controlShard: number;
  readonly regionKey: { readonly kid: string; readonly publicKids: readonly string[] };
}

const POSTGRES = '/etc/manta/postgres';
const NAMESERVICE = '/etc/manta/nameservice';
const REGION_KEY = '/etc/manta/region-key';
const MIB = 2 ** 20;

/** The configuration file of webapi, which its own schema has accepted. Throws ZodError for what it would refuse. */
export function webapiConfig(region: RegionView, around: WebapiSurroundings): string {
  const config = rawConfig(region, around);
  programConfigSchema.parse(config);
  return stringify(config);
}

function rawConfig(region: RegionView, around: WebapiSurroundings): z.input<typeof programConfigSchema> {
  const { spec, namespace } = region;
  const { throttle, trustedProxies = [] } = spec.frontDoor;
  const { kid, publicKids } = around.regionKey;
  return {
    webapi: {
      region: spec.regionName,
      trustsPeers: true,
      trustedProxies: [...trustedProxies],
      copies: { default: spec.storage.defaultCopies, max: spec.storage.maxCopies },
      limits: {
        directoryEntries: spec.limits.maxDirectoryEntries,
        concurrentRequests: throttle.enabled ? throttle.concurrency : 0,
        queuedRequests: throttle.queue,
      },
      transfer: {
        maxUtilizationPct: spec.storage.maxUtilizationPercent,
        maxOperatorUtilizationPct: spec.storage.operatorUtilizationPercent,
        multiDc: spec.storage.multiZone,
        reserveBytes: spec.storage.maxStreamingSizeMB * MIB,
        streamingMaxBytes: spec.storage.maxStreamingSizeMB * MIB,
      },
      timers: { lameDuck: 5_000 },
    },
    nameservice: {
      endpoints: [...nameserviceEndpoints(spec.nameservice.members, namespace)],
      root: ETCD_ROOT,
      username: 'resolver',
      passwordFile: `${NAMESERVICE}/password`,
      ca: `${NAMESERVICE}/ca.crt`,
    },
    databases: {
      shards: around.indexShards.map(shard => ({ shard, database: 'index', ...passwordFiles(shard) })),
      control: { shard: around.controlShard, database: 'control', ...passwordFiles(around.controlShard) },
      passwordFile: passwordFiles(around.controlShard).passwordFile,
    },
    regionKey: {
      kid,
      privateKeyFile: `${REGION_KEY}/${regionKeyEntries(kid).privateKey}`,
      publicKeyFiles: Object.fromEntries(
        publicKids.map(known => [known, `${REGION_KEY}/${regionKeyEntries(known).publicKey}`]),
      ),
    },
    logLevel: spec.services.webapi.logLevel,
  };
}

function passwordFiles(shard: number) {
  return {
    passwordFile: `${POSTGRES}/${postgresEntry(shard, 'manta_webapi')}`,
    migratePasswordFile: `${POSTGRES}/${postgresEntry(shard, 'manta_migrate')}`,
  };
}

/** webapi's pods, with `config` as `webapiConfig` has rendered it. */
export function webapiDeployment(region: RegionView, around: WebapiSurroundings, config: string): Intent<Deployment> {
  return programDeployment(region, {
    program: 'webapi',
    configuration: config,
    placement: replicatedPlacement(region, 'webapi'),
    graceSeconds: 60,
    container: {
      args: [`${CONFIG_DIRECTORY}/${CONFIG_FILE}`],
      env: [fromPod('POD_NAME', 'metadata.name')],
      ports: [
        { name: 'http', containerPort: PORTS.http },
        { name: 'control', containerPort: PORTS.control },
      ],
      volumeMounts: [
        { name: 'postgres', mountPath: POSTGRES, readOnly: true },
        { name: 'nameservice', mountPath: NAMESERVICE, readOnly: true },
        { name: 'region-key', mountPath: REGION_KEY, readOnly: true },
        { name: 'tmp', mountPath: '/tmp' },
      ],
      startupProbe: httpProbe('/livez', 'control', { periodSeconds: 1, failureThreshold: 60 }),
      livenessProbe: httpProbe('/livez', 'control', { periodSeconds: 5, failureThreshold: 6, timeoutSeconds: 5 }),
      readinessProbe: httpProbe('/readyz', 'control', { periodSeconds: 2, failureThreshold: 2, timeoutSeconds: 2 }),
    },
    volumes: [...credentials(around), { name: 'tmp', emptyDir: { medium: 'Memory', sizeLimit: '16Mi' } }],
  });
}

/** Of each Secret only what webapi needs. */
function credentials({ indexShards, controlShard, regionKey }: WebapiSurroundings) {
  const shards = [...new Set([...indexShards, controlShard])].sort((a, b) => a - b);
  const passwords = shards.flatMap(shard =>
    (['manta_webapi', 'manta_migrate'] as const).map(role => postgresEntry(shard, role)),
  );
  const keys = [
    regionKeyEntries(regionKey.kid).privateKey,
    ...regionKey.publicKids.map(kid => regionKeyEntries(kid).publicKey),
  ];
  const asThemselves = (names: readonly string[]) => Object.fromEntries(names.map(name => [name, name]));
  const { caCertificate, passwordOf } = NAMESERVICE_ENTRIES;
  return [
    secretVolume('postgres', SECRETS.postgres, asThemselves(passwords)),
    secretVolume('nameservice', SECRETS.nameservice, {
      [caCertificate]: 'ca.crt',
      [passwordOf('resolver')]: 'password',
    }),
    secretVolume('region-key', SECRETS.regionKey, asThemselves(keys)),
  ];
}

/** Where programs of the region, and the load balancers' follower, find webapi. */
export function webapiService(region: RegionView): Intent<Service> {
  return {
    metadata: metadataOf(region, 'webapi', 'webapi'),
    spec: {
      selector: selectorOf(region, 'webapi'),
      ports: [
        { name: 'http', port: PORTS.http, targetPort: 'http' },
        { name: 'control', port: PORTS.control, targetPort: 'control' },
      ],
    },
  };
}
