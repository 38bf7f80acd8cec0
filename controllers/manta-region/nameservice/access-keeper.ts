import { createHash } from 'node:crypto';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import { shardNumberOf } from '../../../lib/resources/names.ts';
import type { RegionView } from '../../region-view.ts';
import { NAMESERVICE_ENTRIES } from '../../secrets/nameservice-secret.ts';
import type { SecretData } from '../../secrets/secret-data.ts';
import { etcdUsers, planAccess, readAccess } from './access.ts';
import type { EtcdGateway } from './etcd-gateway.ts';

interface Named {
  readonly metadata: { readonly name: string };
}

/**
 * Keeps users, roles and passwords of etcd as they should be. What it found right it takes for right for ten minutes, or
 * until the users or the passwords change: to check a password costs etcd 70 ms.
 */
export interface AccessKeeper {
  isRight(view: RegionView, nameservice: SecretData, shards: readonly Named[]): boolean;
  /** Reads everything and sets right what is not. Throws what the gateway's calls throw; may be broken off anywhere. */
  setRight(gateway: EtcdGateway, view: RegionView, nameservice: SecretData, shards: readonly Named[]): Promise<void>;
}

const RIGHT_MS = 600_000;

export function createAccessKeeper(deps: { readonly clock: Pick<Clock, 'monotonic'> }): AccessKeeper {
  const right = new Map<string, { readonly digest: string; readonly at: number }>();

  return {
    isRight({ namespace }, nameservice, shards) {
      const known = right.get(namespace);
      if (known === undefined || deps.clock.monotonic() - known.at >= RIGHT_MS) return false;
      return known.digest === digestOf(passwordsOf(nameservice, shards));
    },
    async setRight(gateway, { namespace }, nameservice, shards) {
      const at = deps.clock.monotonic();
      const passwords = passwordsOf(nameservice, shards);
      const found = await readAccess(gateway);
      const refused = new Set<string>();
      // Without access control etcd takes no password at all: whoever is there already is given his anew.
      for (const name of found.users.keys()) {
        const password = passwords[name];
        if (password === undefined) continue;
        if (!found.isEnabled || !(await gateway.accepts(name, password))) refused.add(name);
      }
      const users = etcdUsers(shards.map(({ metadata }) => shardNumberOf(metadata.name)));
      for (const { path, body } of planAccess(found, users, passwords, refused)) await gateway.call(path, body);
      right.set(namespace, { digest: digestOf(passwords), at });
    },
  };
}

function passwordsOf(nameservice: SecretData, shards: readonly Named[]): Readonly<Record<string, string>> {
  const users = etcdUsers(shards.map(({ metadata }) => shardNumberOf(metadata.name)));
  const names = ['root', ...users.map(({ name }) => name)];
  return Object.fromEntries(names.map(name => [name, nameservice[NAMESERVICE_ENTRIES.passwordOf(name)] ?? '']));
}

function digestOf(passwords: Readonly<Record<string, string>>): string {
  return createHash('sha256').update(JSON.stringify(passwords)).digest('base64');
}
