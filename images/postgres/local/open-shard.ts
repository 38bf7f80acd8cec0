import { join } from 'node:path';
import type { Logger } from 'pino';
import { createEtcdCoordinator } from '../../../lib/coordinator/etcd.ts';
import { codeOf, MantaError } from '../../../lib/errors/manta-error.ts';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import { shardKeys } from '../../../lib/shard/keys.ts';
import { type Layout, readLayout } from './layout.ts';
import { findPeer, type PeerParts, peerParts } from './peer-parts.ts';
import { allProcesses } from './process-tree.ts';
import { createShardClient, type ShardClient } from './shard-client.ts';
import { type ShardStatus, shardStatus } from './shard-status.ts';

/** A local shard that another process runs. */
export interface OpenShard {
  readonly dir: string;
  readonly layout: Layout;
  readonly client: ShardClient;
  status(): Promise<ShardStatus>;
  /** The processes of a peer. Throws MantaError `NoSuchPeer` for a name that no peer has. */
  parts(id: string): PeerParts;
  /** The file that keeps a peer down. */
  downFile(id: string): string;
  close(): Promise<void>;
}

/** Where everything of a local shard is kept. */
export const ROOT_KEY = '/manta';

/** Throws MantaError `ShardNotRunning`, which says how to start one. */
export async function openShard(
  deps: { readonly logger: Logger; readonly clock: Clock },
  dir: string,
): Promise<OpenShard> {
  const layout = readLayout(dir);
  const notRunning = (detail: string) =>
    new MantaError(
      'ShardNotRunning',
      `${detail} ${dir}: start one with "npm run shard -- up", or name another with --dir`,
    );
  if (layout === undefined) throw notRunning('there is no shard in');
  const endpoints = layout.etcd.map(({ client: { host, port } }) => `http://${host}:${port}`);
  const coordinator = createEtcdCoordinator(deps, { endpoints, deadlineMs: 2_000 });
  const client = createShardClient(coordinator, shardKeys(ROOT_KEY, layout.shard), `cli/${process.getuid?.() ?? 0}`);
  try {
    await client.read();
  } catch (error) {
    await coordinator.close();
    throw codeOf(error) === 'CoordinatorUnavailable' ? notRunning('no shard is running in') : error;
  }
  const demand = (id: string) => {
    if (layout.peers.some(peer => peer.id === id)) return id;
    throw new MantaError('NoSuchPeer', `no peer is called ${id}: there are ${layout.peers.map(p => p.id).join(', ')}`);
  };
  return {
    dir,
    layout,
    client,
    status: () => shardStatus(client, sitterUrls(layout)),
    parts(id) {
      const configFile = join(dir, demand(id), 'config.json');
      return peerParts(findPeer(configFile, allProcesses()), configFile);
    },
    downFile: id => join(dir, demand(id), 'down'),
    close: () => coordinator.close(),
  };
}

/** Where the sitters of a layout answer. */
export function sitterUrls(layout: Layout): readonly { readonly id: string; readonly sitterUrl: string }[] {
  return layout.peers.map(({ id, sitter }) => ({ id, sitterUrl: `http://${sitter.host}:${sitter.port}` }));
}
