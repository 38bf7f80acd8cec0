import { stringify } from 'yaml';
import type { z } from 'zod';
import { parseSitterConfig, type sitterConfigSchema } from '../../images/postgres/config.ts';
import { ETCD_ROOT, nameserviceEndpoints, PORTS } from '../names.ts';
import type { RegionView } from '../region-view.ts';

/** Where the files that the sitter's configuration names are mounted. */
export const SITTER_PATHS = {
  data: '/data',
  wal: '/wal',
  run: '/run/sitter',
  passwords: '/etc/manta/passwords',
  nameservice: '/etc/manta/nameservice',
  pod: '/etc/manta/pod',
  config: '/etc/manta/config',
} as const;

/** What the downward API puts in the environment of a peer, for the check of a configuration that lacks it. */
const SOME_POD = { POD_NAME: 'pg-1-0', POD_IP: '192.0.2.1', NODE_NAME: 'node' };

/** The configuration file of a shard's peers, which their own schema has accepted. Throws ZodError otherwise. */
export function sitterConfig(region: RegionView, shard: number): string {
  const { spec, namespace } = region;
  const { data, wal, run, passwords, nameservice, pod } = SITTER_PATHS;
  const config: Omit<z.input<typeof sitterConfigSchema>, 'id' | 'host'> = {
    shard,
    dataDir: data,
    walDir: wal,
    runDir: run,
    passwordDir: passwords,
    zoneFile: `${pod}/zone`,
    postgres: { port: PORTS.postgres },
    sitter: { port: PORTS.sitter },
    etcd: {
      endpoints: [...nameserviceEndpoints(spec.nameservice.members, namespace)],
      root: ETCD_ROOT,
      credentials: { username: `shard-${shard}`, passwordFile: `${nameservice}/password` },
      tls: { caFile: `${nameservice}/ca.crt` },
    },
    logLevel: spec.services.postgres.logLevel,
  };
  parseSitterConfig(config, SOME_POD);
  return stringify(config);
}
