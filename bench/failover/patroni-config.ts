/** How fast Patroni is told to be. */
export const PROFILES = ['stock', 'fastest', 'tuned'] as const;
export type Profile = (typeof PROFILES)[number];

interface Speed {
  readonly ttl: number;
  readonly loopWait: number;
  readonly retryTimeout: number;
  /** Seconds that a crashed primary gets to come back in place before a standby is promoted. */
  readonly startTimeout: number;
  /** How often a standby looks for its primary again; PostgreSQL's default is 5s. */
  readonly walRetrieveRetry: string;
  /** Whether a primary without etcd goes on while it reaches all its standbys. */
  readonly failsafe: boolean;
}

/**
 * `stock`: the defaults. `fastest`: the shortest times Patroni accepts (it raises shorter ones). `tuned`: besides, no restart
 * in place after a crash, standbys that reconnect as often as ours, and a primary that may outlast etcd.
 */
export const speeds: Readonly<Record<Profile, Speed>> = {
  stock: { ttl: 30, loopWait: 10, retryTimeout: 10, startTimeout: 300, walRetrieveRetry: '5s', failsafe: false },
  fastest: { ttl: 20, loopWait: 1, retryTimeout: 3, startTimeout: 300, walRetrieveRetry: '5s', failsafe: false },
  tuned: { ttl: 20, loopWait: 1, retryTimeout: 3, startTimeout: 0, walRetrieveRetry: '200ms', failsafe: true },
};

/** What distinguishes one node's configuration from another's, and the few things they share. */
export interface NodeConfig {
  readonly name: string;
  readonly speed: Speed;
  readonly etcd: readonly string[];
  readonly dir: string;
  readonly postgresPort: number;
  readonly apiPort: number;
  /** Directory of PostgreSQL's programs. */
  readonly bin: string;
  readonly password: string;
}

/**
 * A node's configuration file. Durability equals ours (replication.md §17.1): strict synchronous mode, flush on both disks,
 * checksums. The names of `primary_…` and `master_…` settings are of new and of old releases.
 */
export function patroniConfig(node: NodeConfig): string {
  const { speed, password } = node;
  const address = (port: number) => `127.0.0.1:${port}`;
  // JSON is YAML.
  return JSON.stringify(
    {
      scope: 'bench',
      name: node.name,
      log: { level: 'INFO' },
      restapi: { listen: address(node.apiPort), connect_address: address(node.apiPort) },
      etcd3: { hosts: node.etcd },
      bootstrap: {
        dcs: {
          ttl: speed.ttl,
          loop_wait: speed.loopWait,
          retry_timeout: speed.retryTimeout,
          primary_start_timeout: speed.startTimeout,
          master_start_timeout: speed.startTimeout,
          maximum_lag_on_failover: 1 << 20,
          failsafe_mode: speed.failsafe,
          synchronous_mode: true,
          synchronous_mode_strict: true,
          postgresql: { use_pg_rewind: true, use_slots: true, parameters: parameters(speed) },
        },
        initdb: [{ encoding: 'UTF8' }, { locale: 'C' }, 'data-checksums'],
      },
      postgresql: {
        listen: address(node.postgresPort),
        connect_address: address(node.postgresPort),
        data_dir: `${node.dir}/data`,
        bin_dir: node.bin,
        pgpass: `${node.dir}/pgpass`,
        authentication: {
          superuser: { username: 'postgres', password },
          replication: { username: 'replicator', password },
          rewind: { username: 'rewinder', password },
        },
        parameters: { unix_socket_directories: node.dir },
        pg_hba: [
          'local all all scram-sha-256',
          'host all all 127.0.0.1/32 scram-sha-256',
          'host replication replicator 127.0.0.1/32 scram-sha-256',
        ],
      },
    },
    null,
    2,
  );
}

function parameters(speed: Speed): Record<string, string | number> {
  return {
    synchronous_commit: 'on',
    shared_buffers: '128MB',
    max_connections: 100,
    wal_level: 'logical',
    wal_keep_size: '1GB',
    wal_retrieve_retry_interval: speed.walRetrieveRetry,
    password_encryption: 'scram-sha-256',
  };
}
