import type { PeerRecord } from '../../lib/shard/records.ts';
import { type ClusterState, roleOf } from '../../lib/shard/state.ts';
import { type ConditionUpdate, findCondition } from '../../operator/runtime/condition.ts';
import { isReady, unschedulable } from '../pods/pod-state.ts';
import { conditionOf, type Finding, someOf } from '../verdict.ts';
import type { ShardRollout } from './rollout.ts';
import type { ShardRefusal, ShardSnapshot } from './snapshot.ts';

/** All conditions of a shard: operations.md §3.3.2. Pure. */
export function judgeShard(s: ShardSnapshot, rollout: ShardRollout): readonly ConditionUpdate[] {
  const generation = s.shard.metadata.generation;
  const unready = whyNotReady(s);
  return [
    conditionOf(
      'Ready',
      { found: 'False', none: 'True' },
      unready === undefined ? [] : [unready],
      { reason: 'ReadWrite', message: `${primaryOf(s) ?? 'the primary'} takes writes` },
      generation,
    ),
    conditionOf(
      'Progressing',
      { found: 'True', none: 'False' },
      progress(s, unready, rollout),
      rest(rollout),
      generation,
    ),
    conditionOf(
      'Degraded',
      { found: 'True', none: 'False' },
      degraded(s),
      { reason: 'AsSpecified', message: 'everything is there that the spec asks for' },
      generation,
    ),
    faultTolerance(s),
    conditionOf(
      'Frozen',
      { found: 'True', none: 'False' },
      s.shard.spec.freeze === undefined
        ? []
        : [{ reason: 'ByOperator', message: `no role changes: ${s.shard.spec.freeze.reason}` }],
      { reason: 'NotFrozen', message: 'roles change as they have to' },
      generation,
    ),
    conditionOf(
      'BackupFresh',
      { found: 'False', none: 'Unknown' },
      [{ reason: 'Disabled', message: 'nothing is backed up' }],
      { reason: 'NoneYet', message: 'there is no backup yet' },
      generation,
    ),
  ];
}

/** For a Shard for which nothing is made. */
export function refusedShard(generation: number | undefined, refusal: ShardRefusal): readonly ConditionUpdate[] {
  const finding: Finding =
    refusal.kind === 'no-region'
      ? { reason: 'RegionMissing', message: 'there is no MantaRegion in this namespace that the shard could belong to' }
      : {
          reason: 'DatabaseTaken',
          message: `${refusal.host} hosts ${refusal.database} already, which only one shard can: take it out of spec.databases`,
        };
  const none = { reason: 'Stable', message: 'nothing is done for this object' };
  return [
    conditionOf('Ready', { found: 'False', none: 'True' }, [finding], none, generation),
    conditionOf('Progressing', { found: 'True', none: 'False' }, [], none, generation),
  ];
}

/** The primary by etcd, or, while that does not answer, the one that was known last. */
export function primaryOf({ look, shard }: ShardSnapshot): string | undefined {
  return look === undefined ? shard.status?.primary : look.state?.primary.id;
}

/** The state in etcd is one from before what was seen already: it was restored from a backup. replication.md §6.8. */
export function isRegressed({ look, shard: { status } }: ShardSnapshot): boolean {
  const state = look?.state;
  if (state === undefined || status?.seq === undefined) return false;
  return state.seq < status.seq || state.generation < (status.generation ?? 0);
}

function whyNotReady(s: ShardSnapshot): Finding | undefined {
  const { look, shard } = s;
  const waiting = volumesPending(s);
  if (waiting !== undefined && shard.status?.systemId === undefined) return waiting;
  const name = shard.metadata.name;
  if (look === undefined) return isServing(s) ? undefined : silence(s);
  const { state } = look;
  if (state === undefined) {
    if (shard.status?.systemId === undefined && look.stateInvalid === undefined)
      return { reason: 'Bootstrapping', message: bootstrapMessage(s) };
    const what = look.stateInvalid ?? 'nameservice has lost the state of the shard';
    return {
      reason: 'StateMissing',
      message: `${what}; running peers go on: kubectl manta shard state-repair ${name}`,
    };
  }
  if (isRegressed(s))
    return {
      reason: 'StateRegressed',
      message: `nameservice shows state ${state.seq}, and there was ${shard.status?.seq} already: kubectl manta shard state-repair ${name}`,
    };
  if (state.systemId === null)
    return { reason: 'Bootstrapping', message: `${state.primary.id} makes the database${ruleOf(look.peers, state)}` };
  return whyPrimaryClosed(s, state);
}

function whyPrimaryClosed(s: ShardSnapshot, state: ClusterState): Finding | undefined {
  if (isServing(s)) return undefined;
  const { id } = state.primary;
  const record = s.look?.peers.get(id);
  const isFirstTime = findCondition(s.shard.status?.conditions, 'Ready')?.reason === 'Bootstrapping';
  const message = `${id} is primary and not open${ruleOf(s.look?.peers, state)}`;
  if (record === undefined)
    return { reason: 'NoPrimary', message: `${id} is primary and does not answer: kubectl describe pod ${id}` };
  if (record.health === 'foreign-data') return { reason: 'ForeignData', message };
  if (record.health === 'lost-data') return { reason: 'LostData', message };
  if (record.timeline !== null && record.timeline > state.timeline) return { reason: 'TimelineMismatch', message };
  return { reason: isFirstTime ? 'Bootstrapping' : 'ReadOnly', message };
}

/** The primary's pod is in rotation, which it is exactly while its gate is open for writes (replication.md §12.4). */
function isServing(s: ShardSnapshot): boolean {
  const pod = s.pods.find(({ metadata }) => metadata.name === primaryOf(s));
  return pod !== undefined && isReady(pod);
}

function silence({ shard }: ShardSnapshot): Finding {
  const reason = shard.status?.systemId === undefined ? 'Bootstrapping' : 'NoPrimary';
  return { reason, message: 'nameservice does not answer, and no primary is known to be open: kubectl describe mr' };
}

function bootstrapMessage({ shard, look, pods }: ShardSnapshot): string {
  const missing = peerNames(shard.metadata.name, shard.spec.peers).filter(name => !look?.peers.has(name));
  if (missing.length === 0) return 'all peers are there and agree on a primary';
  const why = pods.length < shard.spec.peers ? 'pods are being made' : 'kubectl get pods -l manta.io/service=postgres';
  return `waiting for ${someOf(missing)} to register: ${why}`;
}

function ruleOf(peers: ReadonlyMap<string, PeerRecord> | undefined, state: ClusterState): string {
  const rule = peers?.get(state.primary.id)?.rule;
  return rule === undefined ? '' : `; rule ${rule.name}: ${rule.why}`;
}

/** Names of the pods of a shard's peers. */
export function peerNames(shard: string, peers: number): readonly string[] {
  return Array.from({ length: peers }, (_, index) => `pg-${shard.slice('shard-'.length)}-${index}`);
}

function volumesPending({ pods, claims }: ShardSnapshot): Finding | undefined {
  const pending = claims.filter(({ status }) => status?.phase === 'Pending').map(({ metadata }) => metadata.name);
  const told = pods.map(unschedulable).find(message => message !== undefined && /volume|claim/i.test(message));
  if (told !== undefined)
    return { reason: 'VolumePending', message: `the scheduler says: ${told}; claims ${someOf(pending)}` };
  return undefined;
}

/** Reasons for which nothing progresses, although something is to. */
const RESTING = ['WaitingForTurn', 'Paused', 'RolloutHalted'];

function rest(rollout: ShardRollout): Finding {
  if (rollout.kind === 'waits' && RESTING.includes(rollout.finding.reason)) return rollout.finding;
  return { reason: 'Stable', message: 'nothing is being changed' };
}

function progress(s: ShardSnapshot, unready: Finding | undefined, rollout: ShardRollout): Finding[] {
  const { look, shard, statefulSet } = s;
  const findings: Finding[] = [];
  if (unready?.reason === 'Bootstrapping') findings.push(unready);
  if (rollout.kind !== 'done' && rollout.finding.reason === 'RollingOut') findings.push(rollout.finding);
  const seeding = [...(look?.peers.values() ?? [])].filter(({ progress: part }) => part !== undefined);
  if (seeding.length > 0) {
    const parts = seeding.map(({ id, progress: part = 0 }) => `${id} ${Math.floor(part * 100)} %`);
    findings.push({ reason: 'Rebuilding', message: someOf(parts) });
  }
  const replicas = statefulSet?.spec?.replicas;
  if (replicas !== undefined && replicas > shard.spec.peers)
    findings.push({ reason: 'Scaling', message: `peers with an ordinal from ${shard.spec.peers} on are leaving` });
  return findings;
}

function degraded(s: ShardSnapshot): Finding[] {
  const { look, pods, shard } = s;
  const findings: Finding[] = [];
  const say = (reason: string, message: string) => void findings.push({ reason, message });
  const records = [...(look?.peers.values() ?? [])];
  const ofHealth = (health: PeerRecord['health']) =>
    records.filter(record => record.health === health).map(({ id }) => id);
  const full = ofHealth('disk-full');
  if (full.length > 0) say('DiskFull', `${someOf(full)}: raise spec.storage, or free space`);
  const state = look?.state;
  if (state !== undefined && state.systemId !== null) {
    const down = peerNames(shard.metadata.name, shard.spec.peers).filter(
      name => !pods.some(pod => pod.metadata.name === name && isReady(pod)) && roleOf(state, name) !== 'deposed',
    );
    if (down.length > 0) say('PeerDown', `${someOf(down)} not ready: kubectl describe pod ${down[0]}`);
    if (state.deposed.length > 0)
      say('PeerDeposed', `${someOf(state.deposed.map(({ id }) => id))} may hold records that nobody else has`);
  }
  const lagging = ofHealth('lagging');
  if (lagging.length > 0) say('Lagging', someOf(lagging));
  if (look === undefined && shard.status?.systemId !== undefined)
    say('CoordinationUnreachable', 'nameservice does not answer: takeovers wait, reads and writes go on');
  const stuck = pods.flatMap(pod => {
    const message = unschedulable(pod);
    return message === undefined ? [] : [`${pod.metadata.name}: ${message}`];
  });
  if (stuck.length > 0) say('PlacementUnsatisfied', someOf(stuck, 3));
  return findings;
}

function faultTolerance(s: ShardSnapshot): ConditionUpdate {
  const { look, pods, shard } = s;
  const generation = shard.metadata.generation;
  const state = look?.state;
  const before = findCondition(shard.status?.conditions, 'FaultTolerant');
  // What etcd says was so a moment ago, and nothing has changed since: nobody can change it without etcd.
  if (look === undefined && before !== undefined) {
    const { lastTransitionTime: _, ...kept } = before;
    return kept;
  }
  const isUp = (id: string) => pods.some(pod => pod.metadata.name === id && isReady(pod));
  const not = (reason: string, message: string) =>
    conditionOf(
      'FaultTolerant',
      { found: 'False', none: 'True' },
      [{ reason, message }],
      { reason, message },
      generation,
    );
  if (shard.spec.peers === 1) return not('SinglePeer', 'one peer is no fault tolerance: raise spec.peers to 3');
  if (state === undefined || state.sync === null) return not('NoSync', 'no peer receives every commit');
  if (state.deposed.length > 0)
    return not('PeerDeposed', `${someOf(state.deposed.map(({ id }) => id))} has not come back yet`);
  if (!isUp(state.sync.id)) return not('NoSync', `the sync ${state.sync.id} does not stream`);
  if (!state.async.some(({ id }) => isUp(id))) return not('NoAsync', 'no async streams that could become the sync');
  const message = `${state.sync.id} has every commit, and ${state.async.length} more follow`;
  return conditionOf(
    'FaultTolerant',
    { found: 'False', none: 'True' },
    [],
    { reason: 'SyncAndAsync', message },
    generation,
  );
}
