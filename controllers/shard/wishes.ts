import { isDeepStrictEqual } from 'node:util';
import type { Transaction } from '../../lib/coordinator/coordinator.ts';
import { shardNumberOf } from '../../lib/resources/names.ts';
import type { Shard } from '../../lib/resources/types.ts';
import { shardKeys } from '../../lib/shard/keys.ts';
import type { Bootstrap, ShardConfig } from '../../lib/shard/records.ts';
import { ETCD_ROOT } from '../names.ts';
import type { ShardLook } from './look.ts';

/** What a Shard's etcd keys follow from. */
export interface WishSource {
  readonly shard: Pick<Shard, 'spec' | 'status'> & { readonly metadata: { readonly name: string } };
  readonly look: ShardLook;
  readonly nowMs: number;
}

/**
 * The transaction that brings `config` to what the Shard says, and `bootstrap` about where the shard has never had a
 * database (replication.md §5.4, §7.3); undefined when nothing is missing. It compares what it was made from, so that one of
 * two operators changes nothing.
 */
export function missingWishes({ shard, look, nowMs }: WishSource): Transaction | undefined {
  const keys = shardKeys(ETCD_ROOT, shardNumberOf(shard.metadata.name));
  const wanted = shardConfig(shard.spec, look.config?.value, nowMs);
  const isConfigured = isDeepStrictEqual(look.config?.value, wanted);
  const isNew = look.state === undefined && look.stateInvalid === undefined && shard.status?.systemId === undefined;
  const needsBootstrap = isNew && !look.hasBootstrap;
  if (isConfigured && !needsBootstrap) return undefined;
  return {
    compare: [
      look.config === undefined
        ? { key: keys.config, is: 'absent' }
        : { key: keys.config, modRevision: look.config.modRevision },
      ...(needsBootstrap
        ? ([
            { key: keys.state, is: 'absent' },
            { key: keys.bootstrap, is: 'absent' },
          ] as const)
        : []),
    ],
    operations: [
      ...(isConfigured ? [] : [{ put: keys.config, value: JSON.stringify(wanted) }]),
      ...(needsBootstrap ? [{ put: keys.bootstrap, value: JSON.stringify(bootstrapOf(shard.spec, nowMs)) }] : []),
    ],
  };
}

/** `known`: what is in etcd; a freeze keeps the moment it began at, and fields of other versions stay. */
function shardConfig(spec: Shard['spec'], known: ShardConfig | undefined, nowMs: number): ShardConfig {
  const { freeze: knownFreeze, backup: _, ...rest } = known ?? {};
  const { freeze } = spec;
  const frozen =
    freeze === undefined
      ? undefined
      : knownFreeze?.reason === freeze.reason
        ? knownFreeze
        : { at: new Date(nowMs).toISOString(), by: 'operator', reason: freeze.reason };
  return {
    ...rest,
    peers: spec.peers,
    failover: spec.failover,
    databases: [...spec.databases],
    parameters: { ...spec.postgres.parameters },
    ...(frozen === undefined ? {} : { freeze: frozen }),
  };
}

function bootstrapOf({ restore }: Shard['spec'], nowMs: number): Bootstrap {
  const at = new Date(nowMs).toISOString();
  if (restore === undefined) return { at };
  const until = restore.time === 'latest' ? {} : { until: restore.time };
  return { at, restore: { from: restore.source, ...until } };
}
