import { z } from 'zod';
import { shardKeys } from '../../../lib/shard/keys.ts';
import { ETCD_ROOT } from '../../names.ts';
import type { EtcdGateway } from './etcd-gateway.ts';

/** Keys that begin with `prefix`. */
interface Permission {
  readonly prefix: string;
  readonly type: 'READ' | 'READWRITE';
}

/** A user of etcd, who has the role of the same name. */
export interface EtcdUser {
  readonly name: string;
  readonly permissions: readonly Permission[];
}

/** The users of a region's etcd beside `root`, by operations.md §4.2: one for each shard's peers, the operator, and clients. */
export function etcdUsers(shards: readonly number[]): readonly EtcdUser[] {
  return [
    { name: 'operator', permissions: [{ prefix: `${ETCD_ROOT}/`, type: 'READWRITE' }] },
    { name: 'resolver', permissions: [{ prefix: `${ETCD_ROOT}/shards/`, type: 'READ' }] },
    ...shards.map(shard => {
      const { prefix, histories } = shardKeys(ETCD_ROOT, shard);
      const permissions = [prefix, histories].map(each => ({ prefix: each, type: 'READWRITE' as const }));
      return { name: `shard-${shard}`, permissions };
    }),
  ];
}

/** What etcd has. */
export interface EtcdAccess {
  readonly isEnabled: boolean;
  /** By name, with their roles. */
  readonly users: ReadonlyMap<string, readonly string[]>;
  /** By name. */
  readonly roles: ReadonlyMap<string, readonly Permission[]>;
}

/** One call that brings etcd's access control closer to what it should be. */
export interface AccessStep {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * The calls that are missing, in an order in which a stop after any of them locks nobody out: access control is turned on
 * last. `refused` names users whose password etcd does not take. Users of shards that are gone are removed, others that
 * nobody here made are left alone.
 */
export function planAccess(
  found: EtcdAccess,
  users: readonly EtcdUser[],
  passwords: Readonly<Record<string, string>>,
  refused: ReadonlySet<string>,
): readonly AccessStep[] {
  const all = [{ name: 'root', permissions: [] }, ...users];
  const gone = [...found.users.keys()].filter(
    name => /^shard-\d+$/.test(name) && !all.some(user => user.name === name),
  );
  return [
    ...all.flatMap(user => stepsFor(found, user, passwords[user.name] ?? '', refused.has(user.name))),
    ...gone.flatMap(name => [
      { path: 'auth/user/delete', body: { name } },
      ...(found.roles.has(name) ? [{ path: 'auth/role/delete', body: { role: name } }] : []),
    ]),
    ...(found.isEnabled ? [] : [{ path: 'auth/enable', body: {} }]),
  ];
}

function stepsFor(found: EtcdAccess, user: EtcdUser, password: string, isRefused: boolean): AccessStep[] {
  const { name } = user;
  const roles = found.users.get(name);
  const permissions = found.roles.get(name);
  const steps: AccessStep[] = [];
  if (permissions === undefined) steps.push({ path: 'auth/role/add', body: { name } });
  for (const wanted of user.permissions) {
    if (permissions?.some(held => held.prefix === wanted.prefix && held.type === wanted.type)) continue;
    steps.push({ path: 'auth/role/grant', body: { name, perm: permissionBody(wanted) } });
  }
  if (roles === undefined) steps.push({ path: 'auth/user/add', body: { name, password } });
  else if (isRefused) steps.push({ path: 'auth/user/changepw', body: { name, password } });
  if (!roles?.includes(name)) steps.push({ path: 'auth/user/grant', body: { user: name, role: name } });
  return steps;
}

const namesSchema = z.array(z.string()).default([]);
const permissionSchema = z.object({
  permType: z.string().default('READ'),
  key: z.string().default(''),
  range_end: z.string().default(''),
});
const rolePermissions = z.array(permissionSchema).default([]);

/** Everything of etcd's access control that `planAccess` looks at. Throws what the gateway's calls throw. */
export async function readAccess(gateway: EtcdGateway): Promise<EtcdAccess> {
  const status = await gateway.call('auth/status');
  const users = new Map<string, readonly string[]>();
  for (const name of namesSchema.parse((await gateway.call('auth/user/list')).users))
    users.set(name, namesSchema.parse((await gateway.call('auth/user/get', { name })).roles));
  const roles = new Map<string, readonly Permission[]>();
  for (const role of namesSchema.parse((await gateway.call('auth/role/list')).roles)) {
    const { perm } = await gateway.call('auth/role/get', { role });
    roles.set(role, rolePermissions.parse(perm).flatMap(permissionOf));
  }
  return { isEnabled: status.enabled === true, users, roles };
}

function permissionBody({ prefix, type }: Permission): object {
  return { permType: type, key: encode(prefix), range_end: encode(endOf(prefix)) };
}

function permissionOf({ permType, key, range_end }: z.infer<typeof permissionSchema>): Permission[] {
  const prefix = Buffer.from(key, 'base64').toString();
  if (range_end !== encode(endOf(prefix)) || (permType !== 'READ' && permType !== 'READWRITE')) return [];
  return [{ prefix, type: permType }];
}

/** The first key after all that begin with `prefix`, which is ASCII. */
function endOf(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}
