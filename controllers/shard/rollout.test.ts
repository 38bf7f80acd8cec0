import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Pod, StatefulSet } from '../../lib/kubernetes/resources.ts';
import { aPeer, aState } from '../../lib/shard/testing.ts';
import { missingShards } from '../manta-region/templates.ts';
import { aView } from '../testing/rendered.ts';
import { decideShardRollout } from './rollout.ts';
import type { ShardSnapshot } from './snapshot.ts';

const nowMs = Date.UTC(2030, 0, 1);
const MINUTE_MS = 60_000;
const wireTime = (ms: number) => new Date(ms).toISOString();

/** A pod of the old template, ready since long ago, unless told otherwise. */
function aPod(
  ordinal: number,
  more: { isNew?: boolean; unreadySinceMs?: number; isLeaving?: boolean } = {},
): Stored<Pod> {
  const { isNew = false, unreadySinceMs, isLeaving = false } = more;
  const since = wireTime(nowMs - (unreadySinceMs ?? 60 * MINUTE_MS));
  return {
    metadata: {
      name: `pg-1-${ordinal}`,
      uid: `uid-${ordinal}`,
      resourceVersion: '1',
      creationTimestamp: isNew ? since : wireTime(nowMs - 90 * MINUTE_MS),
      labels: { 'controller-revision-hash': isNew ? 'new' : 'old' },
      ...(isLeaving ? { deletionTimestamp: wireTime(nowMs) } : {}),
    },
    status: {
      conditions: [
        { type: 'Ready', status: unreadySinceMs === undefined ? 'True' : 'False', lastTransitionTime: since },
      ],
    },
  } as Stored<Pod>;
}

function aSnapshot(pods: Stored<Pod>[], more: Partial<ShardSnapshot> = {}, spec: object = {}): ShardSnapshot {
  const view = aView('manta', { profile: 'lab' });
  const [shard] = missingShards({ view, shards: [] });
  const metadata = {
    name: 'shard-1',
    uid: 'uid',
    resourceVersion: '1',
    creationTimestamp: wireTime(nowMs),
    generation: 1,
  };
  const set = {
    metadata: { ...metadata, name: 'pg-1', generation: 2 },
    status: { observedGeneration: 2, updateRevision: 'new' },
  };
  const state = aState({ systemId: '1' });
  return {
    nowMs,
    view,
    shard: { ...shard, metadata, spec: { ...shard?.spec, ...spec } } as ShardSnapshot['shard'],
    hasTurn: true,
    look: {
      state,
      stateInvalid: undefined,
      config: undefined,
      hasBootstrap: false,
      peers: new Map(),
      requests: [],
      answer: undefined,
    },
    statefulSet: set as Stored<StatefulSet>,
    pods,
    claims: [],
    nodes: [],
    ...more,
  };
}

/** What is replaced, or why it waits. */
function next(s: ShardSnapshot): string {
  const rollout = decideShardRollout(s);
  if (rollout.kind === 'replace') return `replace ${rollout.pod.metadata.name}`;
  return rollout.kind === 'done' ? 'done' : rollout.finding.reason;
}

const [old0, old1, old2] = [aPod(0), aPod(1), aPod(2)];
const [new0, new1, new2] = [aPod(0, { isNew: true }), aPod(1, { isNew: true }), aPod(2, { isNew: true })];
const withState = (fields: Parameters<typeof aState>[0]) => ({
  look: { ...aSnapshot([]).look, state: aState({ systemId: '1', ...fields }) } as never,
});

describe('the update of a shard', () => {
  test.each<[string, ShardSnapshot, string]>([
    ['begins with the async', aSnapshot([old0, old1, old2]), 'replace pg-1-2'],
    ['goes on with the sync', aSnapshot([old0, old1, new2]), 'replace pg-1-1'],
    [
      'goes by roles and not by numbers',
      aSnapshot([old0, old1, new2], withState({ primary: aPeer(1), sync: aPeer(2), async: [aPeer(0)] })),
      'replace pg-1-0',
    ],
    ['ends with the primary', aSnapshot([old0, new1, new2]), 'replace pg-1-0'],
    ['is done when every pod is new', aSnapshot([new0, new1, new2]), 'done'],
    [
      'begins at the tail of the chain',
      aSnapshot([old0, old1, old2, aPod(3), aPod(4)], withState({ async: [aPeer(4), aPeer(2), aPeer(3)] }), {
        peers: 5,
      }),
      'replace pg-1-3',
    ],
    [
      'waits for the pod that was replaced last',
      aSnapshot([old0, old1, aPod(2, { isNew: true, unreadySinceMs: MINUTE_MS })]),
      'RollingOut',
    ],
    ['waits for a pod that ends', aSnapshot([old0, old1, aPod(2, { isLeaving: true })]), 'RollingOut'],
    [
      'waits while a peer is deposed',
      aSnapshot(
        [old0, old1, new2],
        withState({ async: [], deposed: [{ ...aPeer(2), sinceGeneration: 1, forkTimeline: 1, forkWal: '0/0' }] }),
      ),
      'RollingOut',
    ],
    ['waits while the chain lacks a peer', aSnapshot([old0, old1, new2], withState({ async: [] })), 'RollingOut'],
    ['waits while nobody knows who is primary', aSnapshot([old0, old1, old2], { look: undefined }), 'RollingOut'],
    ['waits for its turn', aSnapshot([old0, old1, old2], { hasTurn: false }), 'WaitingForTurn'],
    [
      'waits while the region is paused',
      aSnapshot([old0, old1, old2], { view: aView('manta', { profile: 'lab', paused: true }) }),
      'Paused',
    ],
    [
      'halts at a pod that is not healthy after ten minutes',
      aSnapshot([old0, old1, aPod(2, { isNew: true, unreadySinceMs: 11 * MINUTE_MS })]),
      'RolloutHalted',
    ],
    [
      'lets a fix reach a pod that has been broken for a minute, without a turn',
      aSnapshot([old0, old1, aPod(2, { unreadySinceMs: 2 * MINUTE_MS })], { hasTurn: false }),
      'replace pg-1-2',
    ],
    [
      'does not take a primary that is out for a moment for a broken one',
      aSnapshot([aPod(0, { unreadySinceMs: 5_000 }), old1, new2]),
      'RollingOut',
    ],
    [
      'replaces asyncs of a frozen shard',
      aSnapshot([old0, old1, old2], {}, { freeze: { reason: 'for a test' } }),
      'replace pg-1-2',
    ],
    [
      'leaves the primary of a frozen shard alone',
      aSnapshot([old0, new1, new2], {}, { freeze: { reason: 'for a test' } }),
      'RollingOut',
    ],
    [
      'restarts a single peer',
      aSnapshot([old0], withState({ sync: null, async: [], oneNode: 'created' }), { peers: 1 }),
      'replace pg-1-0',
    ],
  ])('%s', (_sentence, snapshot, expected) => {
    expect(next(snapshot)).toBe(expected);
  });

  it('knows of no old pod before the StatefulSet has been looked at', () => {
    const { statefulSet, ...rest } = aSnapshot([old0, old1, old2]);
    const unseen = { ...statefulSet, status: { ...statefulSet?.status, observedGeneration: 1 } } as Stored<StatefulSet>;
    expect(next({ ...rest, statefulSet: unseen })).toBe('done');
  });
});
