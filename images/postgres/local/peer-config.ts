import { join } from 'node:path';
import type { z } from 'zod';
import type { sitterConfigSchema } from '../config.ts';
import type { Layout } from './layout.ts';

export interface PeerConfigInput {
  readonly shard: number;
  readonly rootKey: string;
  readonly place: Layout['peers'][number];
  /** The peer's own directory. */
  readonly home: string;
  readonly etcdEndpoints: readonly string[];
  readonly passwordDir: string;
  readonly hasWalVolume: boolean;
}

/** The configuration file of a local peer, which listens on the one address that others know it by. */
export function peerConfig(input: PeerConfigInput): z.input<typeof sitterConfigSchema> {
  const { place, home } = input;
  return {
    shard: input.shard,
    id: place.id,
    host: place.pg.host,
    dataDir: join(home, 'data'),
    ...(input.hasWalVolume ? { walDir: join(home, 'wal') } : {}),
    runDir: join(home, 'run'),
    passwordDir: input.passwordDir,
    postgres: { port: place.pg.port, listen: place.pg.host, ownHost: place.pg.host },
    sitter: { port: place.sitter.port, listen: place.sitter.host },
    etcd: { endpoints: [...input.etcdEndpoints], root: input.rootKey },
  };
}
