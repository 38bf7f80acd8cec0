import { partLabels } from '../lib/resources/names.ts';

/** What all keys of a region in etcd begin with: one region, one etcd. replication.md §6.1. */
export const ETCD_ROOT = '/manta';

/** Labels of everything that the controllers make, operations.md §0.1. */
export const labels = {
  ...partLabels,
  /** Role of a database pod, for people and the Service `pg-<n>-rw`: nothing reads it to decide. */
  role: 'manta.io/role',
  /** Generation of a database pod's shard, for display. */
  generation: 'manta.io/generation',
  /** On claims that must not be deleted without confirmation (§3.6). */
  retain: 'manta.io/retain',
  /** On claims of peers that left for good. */
  retired: 'manta.io/retired',
  managedBy: 'app.kubernetes.io/managed-by',
} as const;

/** Value of `labels.managedBy`. */
export const MANAGER = 'manta-operator';

/** Secrets of a region, operations.md §5.4. */
export const SECRETS = {
  regionKey: 'manta-region-key',
  nodeTokens: 'manta-node-tokens',
  postgres: 'manta-postgres',
  nameservice: 'manta-nameservice',
  poseidon: 'manta-poseidon',
  tls: 'manta-tls',
} as const;

/** Ports that programs listen on, operations.md §0.1, §2.2. */
export const PORTS = {
  http: 8080,
  tls: 8443,
  control: 9090,
  postgres: 5432,
  sitter: 5433,
  etcdClient: 2379,
  etcdPeer: 2380,
} as const;

/** Name of the StatefulSet and of the headless Service of nameservice. */
export const NAMESERVICE = 'nameservice';

/** The pods of nameservice. */
export function nameserviceMembers(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${NAMESERVICE}-${index}`);
}

/** The fixed DNS name of a pod of nameservice, which resolves whether the pod is ready or not. */
export function nameserviceHost(member: string, namespace: string): string {
  return `${member}.${NAMESERVICE}.${namespace}.svc`;
}

/** URLs of the client ports of all members. */
export function nameserviceEndpoints(count: number, namespace: string): readonly string[] {
  return nameserviceMembers(count).map(member => `https://${nameserviceHost(member, namespace)}:${PORTS.etcdClient}`);
}
