/** What all keys of a region in etcd begin with: one region, one etcd. replication.md §6.1. */
export const ETCD_ROOT = '/manta';

/** Secrets of a region, operations.md §5.4. */
export const SECRETS = {
  regionKey: 'manta-region-key',
  nodeTokens: 'manta-node-tokens',
  postgres: 'manta-postgres',
  nameservice: 'manta-nameservice',
  poseidon: 'manta-poseidon',
  tls: 'manta-tls',
} as const;

/** Labels of everything that the controllers make, operations.md §0.1. */
export const LABELS = {
  /** The program. */
  service: 'manta.io/service',
  region: 'manta.io/region',
  shard: 'manta.io/shard',
  storageNode: 'manta.io/storage-node',
  node: 'manta.io/node',
  /** Of database pods, for people and the Service `pg-<n>-rw`: nothing reads it to decide. */
  role: 'manta.io/role',
  generation: 'manta.io/generation',
  /** Of claims that outlive what used them. */
  retain: 'manta.io/retain',
  managedBy: 'app.kubernetes.io/managed-by',
} as const;

/** The value of `LABELS.managedBy`. */
export const MANAGER = 'manta-operator';
