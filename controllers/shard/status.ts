import type { ShardStatus, ShardStatusPeers } from '../../lib/resources/types.ts';
import { type Lsn, parseLsn } from '../../lib/shard/lsn.ts';
import type { PeerRecord } from '../../lib/shard/records.ts';
import { type ClusterState, chainOf, roleOf } from '../../lib/shard/state.ts';
import { type ConditionUpdate, setConditions } from '../../operator/runtime/condition.ts';
import { zoneOf } from '../cluster-nodes.ts';
import { isRegressed, peerNames } from './judge.ts';
import type { ShardSnapshot } from './snapshot.ts';

/** What moves all the time is shown in steps: operations.md §3.1. */
const LAG_STEP_BYTES = 16 * 2 ** 20;

/**
 * The shard's state in etcd as people are shown it, one way (operations.md §3.3.2). While etcd does not answer, or shows a
 * state from before one that was seen, what was known stays: it is by that that the loss is noticed. Pure.
 */
export function shardStatus(
  s: ShardSnapshot,
  conditions: readonly ConditionUpdate[],
  extra: Pick<ShardStatus, 'request' | 'vnodes' | 'history'>,
): ShardStatus {
  const { shard, look, nowMs } = s;
  const before: ShardStatus = shard.status ?? {};
  const state = look?.state;
  const isMirrored = state !== undefined && !isRegressed(s);
  return {
    ...before,
    ...(isMirrored ? mirrored(before, state) : {}),
    ...(look === undefined ? {} : { peers: peersOf(s) }),
    ...extra,
    ...(shard.metadata.generation === undefined ? {} : { observedGeneration: shard.metadata.generation }),
    conditions: setConditions(before.conditions, conditions, nowMs),
    display: displayOf(s, extra.vnodes ?? before.vnodes),
  };
}

function mirrored(before: ShardStatus, state: ClusterState): ShardStatus {
  const systemId = state.systemId ?? before.systemId;
  return {
    ...(systemId === undefined ? {} : { systemId }),
    generation: state.generation,
    seq: state.seq,
    timeline: state.timeline,
    primary: state.primary.id,
    // Applied as a whole: what is left out is taken away.
    sync: state.sync?.id ?? '',
    async: state.async.map(({ id }) => id),
    deposed: state.deposed.map(({ id }) => id),
  };
}

function peersOf(s: ShardSnapshot): readonly ShardStatusPeers[] {
  const { shard, look, pods, nodes } = s;
  const state = look?.state;
  const known = [...(state === undefined ? [] : [...chainOf(state), ...state.deposed]).map(({ id }) => id)];
  const names = [...new Set([...peerNames(shard.metadata.name, shard.spec.peers), ...known])];
  const head = walEndOf(look?.peers.get(state?.primary.id ?? ''));
  return names.map(name => {
    const record = look?.peers.get(name);
    const node = pods.find(({ metadata }) => metadata.name === name)?.spec?.nodeName;
    const zone = zoneOf(nodes, node);
    const lagBytes = lagOf(head, walEndOf(record));
    return {
      name,
      role: state === undefined ? 'none' : roleOf(state, name),
      health: record?.health ?? 'absent',
      ...(zone === undefined ? {} : { zone }),
      ...(node === undefined ? {} : { node }),
      ...(record === undefined || record.timeline === null ? {} : { timeline: record.timeline }),
      ...(lagBytes === undefined ? {} : { lagBytes }),
      ...(record?.progress === undefined ? {} : { rebuild: { percent: Math.floor(record.progress * 100) } }),
    };
  });
}

function walEndOf(record: PeerRecord | undefined): Lsn | undefined {
  return record?.walEnd == null ? undefined : parseLsn(record.walEnd);
}

function lagOf(head: Lsn | undefined, end: Lsn | undefined): number | undefined {
  if (head === undefined || end === undefined) return undefined;
  return Math.floor(Math.max(0, Number(head - end)) / LAG_STEP_BYTES) * LAG_STEP_BYTES;
}

function displayOf(s: ShardSnapshot, vnodes: number | undefined): NonNullable<ShardStatus['display']> {
  const { look, shard } = s;
  const state = look?.state;
  const lag = lagOf(
    walEndOf(look?.peers.get(state?.primary.id ?? '')),
    walEndOf(look?.peers.get(state?.sync?.id ?? '')),
  );
  return {
    databases: shard.spec.databases.join(','),
    async: String(state?.async.length ?? shard.status?.async?.length ?? 0),
    lag: lag === undefined ? '-' : lag === 0 ? '0' : `${lag / 2 ** 20}Mi`,
    vnodes: shard.spec.databases.includes('index') ? String(vnodes ?? 0) : '-',
    disk: '-',
  };
}
