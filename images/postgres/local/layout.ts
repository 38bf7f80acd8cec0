import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { freePorts } from '../../../lib/etcd-process/ports.ts';

/** The roles that log in over TCP (replication.md §11.5, metadata.md §12.18); each has a password file named for it. */
const ROLES = [
  'manta_replication',
  'manta_monitor',
  'manta_dump',
  'manta_migrate',
  'manta_webapi',
  'manta_jobsupervisor',
  'manta_ops',
  'manta_move',
] as const;

const address = z.object({ host: z.string(), port: z.int() });
const layoutSchema = z.strictObject({
  v: z.literal(1),
  shard: z.int(),
  hosts: z.enum(['loopback', 'namespaces']),
  /** The network of the namespaces. */
  subnet: z.string().optional(),
  peers: z.array(z.strictObject({ id: z.string(), pg: address, sitter: address })),
  etcd: z.array(z.strictObject({ name: z.string(), client: address, peer: address })),
  databases: z.array(z.string()),
  walVolumes: z.boolean(),
});

/** Where everything of a local shard listens: a second start on its directory finds the same. */
export type Layout = Readonly<z.infer<typeof layoutSchema>>;

const fileOf = (dir: string) => join(dir, 'shard.json');

/** The layout of the shard that the directory holds; undefined when it holds none. */
export function readLayout(dir: string): Layout | undefined {
  if (!existsSync(fileOf(dir))) return undefined;
  return layoutSchema.parse(JSON.parse(readFileSync(fileOf(dir), 'utf8')));
}

export interface LayoutWish {
  readonly shard: number;
  readonly peers: number;
  readonly etcdMembers: number;
  readonly databases: readonly string[];
  readonly walVolumes: boolean;
  /** The first three numbers of the addresses of the namespaces; undefined: ports of the loopback interface. */
  readonly subnet: string | undefined;
}

/** Chooses where everything listens and keeps it in the directory. */
export async function createLayout(dir: string, wish: LayoutWish): Promise<Layout> {
  const { shard, subnet } = wish;
  const names = Array.from({ length: wish.peers }, (_, index) => `pg-${shard}-${index}`);
  const members = Array.from({ length: wish.etcdMembers }, (_, index) => `etcd-${index}`);
  const ports = subnet === undefined ? await freePorts(2 * (names.length + members.length)) : [];
  const hosts = hostsOf({ peers: names.length, etcd: members.length });
  const place = (host: string, port: number) =>
    subnet === undefined
      ? { host: '127.0.0.1', port: ports.pop() ?? 0 }
      : { host: `${subnet}.${hosts.indexOf(host) + 1}`, port };
  const layout: Layout = {
    v: 1,
    shard,
    hosts: subnet === undefined ? 'loopback' : 'namespaces',
    ...(subnet === undefined ? {} : { subnet }),
    peers: names.map((id, index) => ({ id, pg: place(`peer${index}`, 5432), sitter: place(`peer${index}`, 5433) })),
    etcd: members.map((name, index) => ({
      name,
      client: place(`etcd${index}`, 2379),
      peer: place(`etcd${index}`, 2380),
    })),
    databases: [...wish.databases],
    walVolumes: wish.walVolumes,
  };
  mkdirSync(dir, { recursive: true });
  writeFileSync(fileOf(dir), `${JSON.stringify(layout, null, 2)}\n`);
  return layout;
}

/** Names of the hosts of a network of namespaces, in the order of their addresses. */
export function hostsOf(counts: { readonly peers: number; readonly etcd: number }): readonly string[] {
  const named = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index}`);
  return [...named('peer', counts.peers), ...named('etcd', counts.etcd)];
}

export const passwordDirOf = (dir: string) => join(dir, 'passwords');

/** Reads the passwords of the roles by name, making those that are missing. */
export function keepPasswords(dir: string): Readonly<Record<string, string>> {
  const files = passwordDirOf(dir);
  mkdirSync(files, { recursive: true });
  chmodSync(files, 0o700);
  return Object.fromEntries(
    ROLES.map(role => {
      const file = join(files, role);
      if (!existsSync(file)) writeFileSync(file, randomBytes(18).toString('base64url'), { mode: 0o600 });
      return [role, readFileSync(file, 'utf8').trim()];
    }),
  );
}
