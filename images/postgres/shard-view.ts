import type { z } from 'zod';
import type { KeyValue } from '../../lib/coordinator/coordinator.ts';
import type { FollowedRead } from '../../lib/coordinator/follow-prefix.ts';
import type { ShardKeys } from '../../lib/shard/keys.ts';
import {
  answerSchema,
  bootstrapSchema,
  peerRecordSchema,
  type Requests,
  requestSchemas,
  shardConfigSchema,
} from '../../lib/shard/records.ts';
import { type ClusterState, chainOf } from '../../lib/shard/state.ts';
import { parseState } from '../../lib/shard/transition.ts';
import type { EtcdView, PeerView, Versioned } from './snapshot.ts';

/** What a view says that a read of the shard's prefix alone can say. */
export type ShardView = Omit<EtcdView, 'registered' | 'unsettled'> & {
  /** Of the key `state`, also when its value is none. */
  readonly stateModRevision: number | undefined;
};

/** Before the first read. */
export const emptyShardView: ShardView = {
  readAt: undefined,
  state: undefined,
  stateModRevision: undefined,
  stateInvalid: undefined,
  config: undefined,
  bootstrap: undefined,
  requests: {},
  answer: undefined,
  peers: {},
  absentSince: {},
};

/**
 * Makes a view of a read of the shard's prefix (replication.md §6.1). A state that is none is told as `stateInvalid`; any
 * other value that is not what its key promises is left out and reported. `now`: monotonic, when the read had come.
 */
export function readShard(
  keys: ShardKeys,
  read: FollowedRead,
  previous: ShardView,
  now: number,
  ignored: (key: string, modRevision: number, error: unknown) => void,
): ShardView {
  const byKey = new Map(read.entries.map(entry => [entry.key, entry]));
  const parsed = <Schema extends z.ZodType>(
    entry: KeyValue | undefined,
    schema: Schema,
  ): z.output<Schema> | undefined => {
    if (entry === undefined) return undefined;
    try {
      return parseOnce(schema, entry.value, text => schema.parse(JSON.parse(text)));
    } catch (error) {
      ignored(entry.key, entry.modRevision, error);
      return undefined;
    }
  };
  const versionOf = <Schema extends z.ZodType>(
    key: string,
    schema: Schema,
  ): Versioned<z.output<Schema>> | undefined => {
    const entry = byKey.get(key);
    const value = parsed(entry, schema);
    return entry === undefined || value === undefined ? undefined : { value, modRevision: entry.modRevision };
  };

  const peers: Record<string, PeerView> = {};
  for (const entry of read.entries) {
    if (!entry.key.startsWith(keys.peers)) continue;
    const value = parsed(entry, peerRecordSchema);
    // A record under another peer's key is nobody's.
    if (value === undefined || keys.peer(value.id) !== entry.key) continue;
    peers[value.id] = { value, modRevision: entry.modRevision, createRevision: entry.createRevision };
  }
  const { state, stateInvalid } = readState(byKey.get(keys.state));

  return {
    readAt: read.sentAt,
    state,
    stateModRevision: byKey.get(keys.state)?.modRevision,
    stateInvalid,
    config: versionOf(keys.config, shardConfigSchema),
    bootstrap: versionOf(keys.bootstrap, bootstrapSchema),
    requests: Object.fromEntries(
      Object.entries(requestSchemas).flatMap(([kind, schema]) => {
        const value = parsed(byKey.get(keys.request(kind)), schema);
        return value === undefined ? [] : [[kind, value]];
      }),
    ) as Requests,
    answer: parsed(byKey.get(keys.answer), answerSchema),
    peers,
    absentSince: absentSince(state?.value ?? previous.state?.value, keys, byKey, previous, now),
  };
}

const KEPT = 64;
const parsedTexts = new WeakMap<object, Map<string, unknown>>();

/** Of most reads only one key is new. What throws is tried again each time. `as`: what the text was parsed as. */
function parseOnce<Value>(as: object, text: string, parse: (text: string) => Value): Value {
  const known = parsedTexts.get(as) ?? new Map<string, unknown>();
  parsedTexts.set(as, known);
  const found = known.get(text);
  if (found !== undefined) return found as Value;
  const value = parse(text);
  if (known.size >= KEPT) known.clear();
  known.set(text, value);
  return value;
}

function readState(entry: KeyValue | undefined): Pick<ShardView, 'state' | 'stateInvalid'> {
  if (entry === undefined) return { state: undefined, stateInvalid: undefined };
  try {
    return {
      state: { value: parseOnce(parseState, entry.value, parseState), modRevision: entry.modRevision },
      stateInvalid: undefined,
    };
  } catch (error) {
    return { state: undefined, stateInvalid: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * Counted from when the first read without the key had come, and by the key alone: a record that cannot be read still
 * shows that its peer is registered.
 */
function absentSince(
  state: ClusterState | undefined,
  keys: ShardKeys,
  byKey: ReadonlyMap<string, KeyValue>,
  previous: ShardView,
  now: number,
): Record<string, number> {
  if (state === undefined) return {};
  const absent = [...chainOf(state), ...state.deposed].filter(peer => !byKey.has(keys.peer(peer.id)));
  return Object.fromEntries(absent.map(({ id }) => [id, previous.absentSince[id] ?? now]));
}
