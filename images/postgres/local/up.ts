import { mkdirSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import { type LocalShard, startLocalShard } from './local-shard.ts';

export interface UpOptions {
  readonly dir: string;
  readonly peers: 1 | 3 | 5;
  readonly etcdMembers: 1 | 3;
  readonly hosts: 'loopback' | 'namespaces';
  /** A directory for its backups, which is made when it is not there. */
  readonly backup?: string;
  /** A directory with backups to make the new shard of, and up to when. */
  readonly restore?: { readonly from: string; readonly until?: string };
  /** What the commands printed are to end with, for a directory that is not the usual one. */
  readonly suffix: string;
}

/** The database that a new shard is made with, to try things in. */
const DATABASE = 'test';

/** Starts a shard and prints how to use it. */
export async function up(
  deps: { readonly logger: Logger; readonly clock: Clock; readonly print: (text: string) => void },
  options: UpOptions,
): Promise<LocalShard> {
  if (options.backup !== undefined) mkdirSync(options.backup, { recursive: true });
  const shard = await startLocalShard(deps, {
    ...options,
    databases: [DATABASE],
    onProgress: text => deps.print(`… ${text}\n`),
  });
  deps.print(banner(shard, options));
  return shard;
}

function banner({ peers, etcd, number }: LocalShard, { dir, suffix, backup }: UpOptions): string {
  const [first] = peers;
  const run = (command: string) => `  npm run shard -- ${command}${suffix}`;
  return `
Shard ${number} runs: ${peers.length} peers, ${etcd.members.length} etcd. Ctrl-C stops it; its state stays in ${dir}.
In another terminal:

${run('psql')}
${run('status')}
${run(`kill ${first?.id} postmaster`)}
${run('switchover')}
${run(`pause ${first?.id}`)}
${run(`resume ${first?.id}`)}
${run('history')}${backup === undefined ? '' : `\n${run('backup')}`}

Logs: ${dir}/pg-${number}-*/peer.log, ${dir}/etcd/*/etcd.log
`;
}
