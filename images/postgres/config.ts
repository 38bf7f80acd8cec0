import { z } from 'zod';
import type { ServerConfig } from './pg/config.ts';
import { defaultTimes, derivedTimes, type Times } from './times.ts';

const port = z.int().min(1).max(65_535);
const ms = (fallback: number) => z.int().positive().default(fallback);

/** The times that may be set (replication.md appendix A): milliseconds, but where the name says otherwise. */
const timesSchema = z
  .strictObject({
    /** Life of the peer's registration without a renewal; the fence of reads follows from it. Default 2 000. */
    leaseMs: ms(defaultTimes.leaseMs),
    /** Between heartbeats; silence is six of them. Default 200. */
    heartbeatMs: ms(defaultTimes.heartbeatMs),
    /** Between two probes of a peer whose connection broke. Default 50. */
    probeEveryMs: ms(defaultTimes.probeEveryMs),
    /** For one probe. Default 300. */
    probeDeadlineMs: ms(defaultTimes.probeDeadlineMs),
    /** How long a peer may be without its key in etcd. Default 10 000. */
    detachedMs: ms(defaultTimes.detachedMs),
    /** How long the sync may be without its replication connection. Default 1 000. */
    syncLostMs: ms(defaultTimes.syncLostMs),
    /** How long commits may wait for the sync. Default 3 000. */
    syncStallMs: ms(defaultTimes.syncStallMs),
    /** How long they may wait before new writes are refused, where nobody can replace it. Default 2 000. */
    stallReadOnlyMs: ms(defaultTimes.stallReadOnlyMs),
    /** Between health checks of PostgreSQL. Default 1 000. */
    healthMs: ms(defaultTimes.healthMs),
    /** How long they may fail. Default 5 000. */
    healthFailMs: ms(defaultTimes.healthFailMs),
    /** Bytes of WAL by which the next sync may be behind. Default 16 MiB. */
    candidateLagBytes: z
      .int()
      .positive()
      .default(Number(defaultTimes.candidateLagBytes))
      .transform(bytes => BigInt(bytes)),
    /** How long to wait for one that close. Default 10 000. */
    candidateWaitMs: ms(defaultTimes.candidateWaitMs),
    /** How long open transactions may go on in a switchover. Default 250. */
    drainMs: ms(defaultTimes.drainMs),
    /** How long a primary that has handed over waits for its successor. Default 3 000. */
    switchoverTimeoutMs: ms(defaultTimes.switchoverTimeoutMs),
    /** The same for one that has abdicated. Default 3 000. */
    abdicateTimeoutMs: ms(defaultTimes.abdicateTimeoutMs),
    /** For a promotion. Default 60 000. */
    promoteTimeoutMs: ms(defaultTimes.promoteTimeoutMs),
    /** For a fast stop, before an immediate one. Default 20 000. */
    stopFastMs: ms(defaultTimes.stopFastMs),
    /** For an immediate stop, before SIGKILL. Default 10 000. */
    stopImmediateMs: ms(defaultTimes.stopImmediateMs),
    /** How long an async may be away before it leaves the chain. Default 30 000. */
    asyncAbsentMs: ms(defaultTimes.asyncAbsentMs),
    /** How long a sync that is to end waits for its replacement. Default 20 000. */
    leaveMs: ms(defaultTimes.leaveMs),
    /** For one action of the loop. Default 2 000. */
    actionMs: ms(defaultTimes.actionMs),
    /** The loop runs at least this often. Default 200. */
    loopMs: ms(defaultTimes.loopMs),
  })
  .prefault({})
  .transform((chosen): Times => ({ ...defaultTimes, ...chosen }))
  .superRefine((times, context) => {
    const broken = brokenTimes(times);
    if (broken !== undefined) context.addIssue({ code: 'custom', message: broken });
  });

/** What must hold between times (appendix A): the sentence that does not. */
function brokenTimes(times: Times): string | undefined {
  const { fenceMs, silenceMs, recentReplyMs } = derivedTimes(times);
  if (fenceMs < recentReplyMs) return 'leaseMs: the fence has to outlast two replies of an idle sync';
  if (times.stallReadOnlyMs >= times.syncStallMs) return 'stallReadOnlyMs has to be below syncStallMs';
  if (times.probeEveryMs + 2 * times.probeDeadlineMs >= silenceMs) return 'probes have to end within six heartbeats';
  return undefined;
}

/** The configuration file of a peer: PostgreSQL and its sitter. Secrets are files beside it, never part of it. */
export const sitterConfigSchema = z.strictObject({
  /** The shard's number. */
  shard: z.int().min(1),
  /** The pod's name, which ends with its ordinal: `pg-1-0`. */
  id: z.string().regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?-\d+$/),
  /** Address under which the other peers and the programs reach this one: the pod's IP, so that failover needs no DNS. */
  host: z.string().min(1),
  /** The data volume: `pg/` with the data directories, `sitter/` with the local record and the lock. */
  dataDir: z.string().min(1),
  /** A volume of its own for the WAL. Default: with the data. */
  walDir: z.string().min(1).optional(),
  /** In memory: the socket and the password files that the sitter writes. */
  runDir: z.string().min(1).default('/run/sitter'),
  /** Holds one file a role, named for it, with its password. Read again whenever it is needed. */
  passwordDir: z.string().min(1),
  /** Failure domain, for display. */
  zone: z.string().min(1).optional(),
  /** Holds the failure domain, in place of `zone`: a file that the pod's annotations are mounted as. */
  zoneFile: z.string().min(1).optional(),
  /** Name of the machine, for display. */
  node: z.string().min(1).optional(),
  postgres: z
    .strictObject({
      /** Port to listen on and to announce. */
      port: port.default(5432),
      /** `listen_addresses`. */
      listen: z.string().min(1).default('*'),
      /** Where this peer reaches its own server over TCP. */
      ownHost: z.string().min(1).default('127.0.0.1'),
      /** Networks that the other peers connect from, as in pg_hba.conf: `all`, or CIDR. */
      peerNetworks: z.array(z.string().min(1)).min(1).default(['all']),
      /** Where PostgreSQL's programs are. Default: the newest on `PATH` and in Debian's directories. */
      binDir: z.string().min(1).optional(),
      /** Certificate and key of the shard. Default: no TLS for PostgreSQL. */
      tls: z.strictObject({ certFile: z.string().min(1), keyFile: z.string().min(1) }).optional(),
      /** Base backups read no faster, kilobytes a second. */
      rebuildMaxRateKb: z
        .int()
        .min(32)
        .default(200 * 1024),
    })
    .prefault({}),
  sitter: z
    .strictObject({
      /** Port to listen on and to announce: probes, metrics, heartbeats, status. */
      port: port.default(5433),
      /** Address to listen on. */
      listen: z.string().min(1).default('0.0.0.0'),
    })
    .prefault({}),
  /** The region's nameservice. */
  etcd: z.strictObject({
    /** URLs of the members. */
    endpoints: z.array(z.url()).min(1),
    /** What all keys begin with: a slash first, none last. */
    root: z
      .string()
      .regex(/^\/.*[^/]$/)
      .default('/manta'),
    /** Milliseconds for one call at one member. */
    deadlineMs: ms(300),
    /** The peers' user of this shard. Default: no authentication. */
    credentials: z
      .strictObject({
        username: z.string().min(1),
        /** Read again when a password is refused. */
        passwordFile: z.string().min(1),
      })
      .optional(),
    tls: z
      .strictObject({
        /** PEM of the authority that signed the members' certificates. */
        caFile: z.string().min(1),
        certFile: z.string().min(1).optional(),
        keyFile: z.string().min(1).optional(),
        /** A name in the members' certificates, where it is not that of the URLs. */
        serverName: z.string().min(1).optional(),
      })
      .optional(),
  }),
  /** With which backups in a Manta region are written and read; those in a directory need none. */
  backup: z
    .strictObject({
      /** PEM of a private key of the account that the address names. */
      keyFile: z.string().min(1),
      /** A sub-user of that account. */
      user: z.string().min(1).optional(),
    })
    .optional(),
  times: timesSchema,
  /** Least severe level that is logged. */
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
});

export type SitterConfig = Readonly<z.output<typeof sitterConfigSchema>>;

/**
 * Parses a configuration file's content. What differs from pod to pod may stand in the environment instead, as the
 * downward API puts it: `POD_NAME` for `id`, `POD_IP` for `host`, `NODE_NAME` for `node`.
 */
export function parseSitterConfig(file: unknown, env: Readonly<Record<string, string | undefined>>): SitterConfig {
  const pod = { id: env.POD_NAME, host: env.POD_IP, node: env.NODE_NAME };
  const known = Object.fromEntries(Object.entries(pod).filter(([, value]) => value !== undefined && value !== ''));
  return sitterConfigSchema.parse({ ...known, ...z.record(z.string(), z.unknown()).parse(file) });
}

/** What of it is PostgreSQL's. */
export function serverConfigOf(config: SitterConfig): ServerConfig {
  const { id, dataDir, walDir, runDir, passwordDir, times } = config;
  const { binDir, tls, ...postgres } = config.postgres;
  const { backup } = config;
  return {
    id,
    dataDir,
    runDir,
    passwordDir,
    times,
    ...postgres,
    ...(walDir === undefined ? {} : { walDir }),
    ...(binDir === undefined ? {} : { binDir }),
    ...(tls === undefined ? {} : { tls }),
    ...(backup === undefined ? {} : { backupKey: backup }),
  };
}

/** For the log: there are no secrets in it, but a number that JSON has no form for. */
export function printable({ times, ...config }: SitterConfig): object {
  return { ...config, times: { ...times, candidateLagBytes: Number(times.candidateLagBytes) } };
}
