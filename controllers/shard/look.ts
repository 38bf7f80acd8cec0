import type { z } from 'zod';
import type { Coordinator, KeyValue } from '../../lib/coordinator/coordinator.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { shardKeys } from '../../lib/shard/keys.ts';
import {
  type Answer,
  answerSchema,
  type PeerRecord,
  peerRecordSchema,
  type RequestKind,
  requestSchemas,
  type ShardConfig,
  shardConfigSchema,
} from '../../lib/shard/records.ts';
import type { ClusterState } from '../../lib/shard/state.ts';
import { parseState } from '../../lib/shard/transition.ts';
import { ETCD_ROOT } from '../names.ts';

/** A shard as etcd has it (replication.md §6.1). What cannot be read is taken for absent. */
export interface ShardLook {
  readonly state: ClusterState | undefined;
  /** What the key `state` breaks; undefined when it is good, or not there. */
  readonly stateInvalid: string | undefined;
  readonly config: { readonly value: ShardConfig | undefined; readonly modRevision: number } | undefined;
  readonly hasBootstrap: boolean;
  /** By id: the peers whose processes are registered. */
  readonly peers: ReadonlyMap<string, PeerRecord>;
  /** Kinds and ids of requests that nobody has taken yet. */
  readonly requests: readonly { readonly kind: RequestKind; readonly id: string }[];
  readonly answer: Answer | undefined;
}

/** Reads a shard's keys at one moment. Undefined while etcd does not answer. */
export async function lookAtShard(coordinator: Coordinator, shard: number): Promise<ShardLook | undefined> {
  const keys = shardKeys(ETCD_ROOT, shard);
  let entries: readonly KeyValue[];
  try {
    ({ entries } = await coordinator.read(keys.prefix));
  } catch (error) {
    if (error instanceof MantaError && error.code === 'CoordinatorUnavailable') return undefined;
    throw error;
  }
  const at = (key: string) => entries.find(entry => entry.key === key);
  const config = at(keys.config);
  return {
    ...stateOf(at(keys.state)),
    config: config && { value: parsed(shardConfigSchema, config), modRevision: config.modRevision },
    hasBootstrap: at(keys.bootstrap) !== undefined,
    peers: peersOf(entries.filter(({ key }) => key.startsWith(keys.peers))),
    requests: (Object.keys(requestSchemas) as RequestKind[]).flatMap(kind => {
      const request = parsed<{ id: string }>(requestSchemas[kind], at(keys.request(kind)));
      return request === undefined ? [] : [{ kind, id: request.id }];
    }),
    answer: parsed(answerSchema, at(keys.answer)),
  };
}

function stateOf(entry: KeyValue | undefined): Pick<ShardLook, 'state' | 'stateInvalid'> {
  if (entry === undefined) return { state: undefined, stateInvalid: undefined };
  try {
    return { state: parseState(entry.value), stateInvalid: undefined };
  } catch (error) {
    return { state: undefined, stateInvalid: (error as Error).message };
  }
}

function peersOf(entries: readonly KeyValue[]): ReadonlyMap<string, PeerRecord> {
  const records = entries.flatMap(entry => parsed(peerRecordSchema, entry) ?? []);
  return new Map(records.map(record => [record.id, record]));
}

function parsed<T>(schema: z.ZodType<T>, entry: KeyValue | undefined): T | undefined {
  if (entry === undefined) return undefined;
  try {
    return schema.safeParse(JSON.parse(entry.value)).data;
  } catch {
    return undefined;
  }
}
