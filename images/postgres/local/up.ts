import type { Logger } from 'pino';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import { type LocalShard, startLocalShard } from './local-shard.ts';

export interface UpOptions {
  readonly dir: string;
  readonly peers: 1 | 3 | 5;
  readonly etcdMembers: 1 | 3;
  readonly hosts: 'loopback' | 'namespaces';
}

/** The database that a new shard is made with, to try things in. */
const DATABASE = 'test';

/** Starts a shard and prints how to use it. */
export async function up(
  deps: { readonly logger: Logger; readonly clock: Clock; readonly print: (text: string) => void },
  options: UpOptions,
): Promise<LocalShard> {
  const shard = await startLocalShard(deps, {
    ...options,
    databases: [DATABASE],
    onProgress: text => deps.print(`… ${text}\n`),
  });
  deps.print(banner(shard, options.dir));
  return shard;
}

function banner({ peers, etcd, number }: LocalShard, dir: string): string {
  const list = (pick: (peer: (typeof peers)[number]) => string | number) => peers.map(pick).join(',');
  const hosts = `host=${list(({ pg }) => pg.host)} port=${list(({ pg }) => pg.port)}`;
  const [first] = peers;
  return `
Shard ${number} runs: ${peers.length} peers, ${etcd.members.length} etcd. Ctrl-C stops it; its state stays in ${dir}.

  export PGPASSWORD=$(cat ${dir}/passwords/manta_migrate)
  psql "${hosts} user=manta_migrate dbname=${DATABASE} target_session_attrs=read-write"

In another terminal:

  npm run shard -- status
  npm run shard -- kill ${first?.id} postmaster     then status again
  npm run shard -- switchover
  npm run shard -- pause ${first?.id}               and resume ${first?.id}
  npm run shard -- history

Logs: ${dir}/pg-${number}-*/peer.log, ${dir}/etcd/*/etcd.log
`;
}
