import fc from 'fast-check';
import { decide, rules } from './decide.ts';
import type { JobKind } from './snapshot.ts';
import { aRef, aSnapshot, type Difference, end, NOW } from './testing/a-snapshot.ts';

/** What the whole list makes of a snapshot: `rule action`, or what a wait says. */
function outcome(difference: Difference): string | undefined {
  const decision = decide(aSnapshot(difference));
  if (decision === undefined) return undefined;
  const { rule, action } = decision;
  return `${rule}: ${action.kind === 'wait' ? action.why : action.kind}`;
}

const order = [
  'close-gate',
  'settle',
  'repair',
  'hold',
  'stop-superseded',
  'finish-promotion',
  'finish-replacement',
  'finish-handover',
  'finish-abdication',
  'abdicate',
  'bootstrap',
  'take-over',
  'restore-receiver',
  'replace-sync',
  'hand-over',
  'leave',
  'rejoin',
  'seed',
  'start',
  'open',
  'follow',
  'keep-chain',
  'answer-request',
  'keep-house',
];

it('the rules are in the order of replication.md §4.3, with a transaction settled before anything is concluded', () => {
  expect(rules.map(rule => rule.name)).toEqual(order);
});

it('every rule says why in one line', () => {
  for (const { why } of rules) expect(why).toMatch(/^[^\n]{10,120}$/);
});

describe('a healthy shard', () => {
  it.each(['primary', 'sync', 'async'] as const)('gives its %s nothing to do', role => {
    expect(outcome({ role })).toBeUndefined();
    expect(outcome({ role, peers: 5 })).toBeUndefined();
    expect(outcome({ role, isFrozen: true })).toBeUndefined();
    expect(outcome({ role, isRegistered: false })).toBeUndefined();
  });

  it('of one peer has nothing to do', () => {
    expect(outcome({ peers: 1 })).toBeUndefined();
  });
});

/** Rows of §10 that one snapshot can show, through the eyes of who acts. */
const failures: readonly (readonly [
  row: number,
  sentence: string,
  difference: Difference,
  expected: string | undefined,
])[] = [
  [1, 'the postmaster of P was killed', { process: 'crashed' }, 'abdicate: abdicate'],
  [1, 'part of P’s server is left', { process: 'remains' }, 'abdicate: abdicate'],
  [1, 'P has abdicated', { role: 'sync', records: { 'pg-1-0': { status: 'abdicating' } } }, 'take-over: cut-receiver'],
  [4, 'the container of P was killed', { role: 'sync', primary: 'gone' }, 'take-over: cut-receiver'],
  [5, 'the node of P lost power', { role: 'sync', primary: 'silent' }, 'take-over: cut-receiver'],
  [6, 'P is paused for a moment', { role: 'sync', primary: 'alive' }, undefined],
  [
    7,
    'P resumes after S took over',
    { role: 'none', answered: { inRecovery: false, flushed: end(0) }, written: { role: 'primary' } },
    'stop-superseded: stop',
  ],
  [8, 'only the sitter of P is paused, under load', { role: 'sync', primary: 'detached' }, 'take-over: cut-receiver'],
  [9, 'only the server of P is paused', { server: { unansweredSince: NOW - 5_000 } }, 'abdicate: abdicate'],
  [11, 'P is cut off from S, and A hears it', { role: 'sync', primary: 'silent, unconfirmed' }, undefined],
  [11, 'P is cut off from S', { sync: 'lost' }, 'replace-sync: join-sync'],
  [12, 'P is cut off from everything', { evidence: { freshAt: NOW - 3_000 } }, 'close-gate: close-gate'],
  [14, 'S is gone', { sync: 'gone' }, 'replace-sync: join-sync'],
  [
    15,
    'the WAL volume of S is full',
    { sync: 'unfit', records: { 'pg-1-1': { health: 'disk-full' } } },
    'replace-sync: join-sync',
  ],
  [16, 'S is slow', { answered: { commitWaitingSince: NOW - 900 } }, undefined],
  [
    17,
    'A has been away for thirty seconds',
    { etcd: { absentSince: { 'pg-1-2': NOW - 30_000 } } },
    'keep-chain: write-state',
  ],
  [19, 'P and A died', { role: 'sync', primary: 'gone', sender: 'absent', records: { 'pg-1-2': 'absent' } }, undefined],
  [
    20,
    'S and A died',
    { sync: 'gone', sender: 'absent', records: { 'pg-1-2': 'absent' } },
    'replace-sync: NoCandidate: nobody can take the place of pg-1-1 now',
  ],
  [
    20,
    'S and A died, and commits wait',
    { sync: 'gone', records: { 'pg-1-2': 'absent' }, answered: { commitWaitingSince: NOW - 2_000 } },
    'replace-sync: configure',
  ],
  [
    21,
    'all pods died, and S is not up yet',
    { process: 'down', answers: { 'pg-1-1': { ready: false } } },
    'start: start',
  ],
  [22, 'the volume of P was lost', { process: 'down', directory: 'none' }, 'abdicate: abdicate'],
  [
    22,
    'the volume of P was lost, and S is not there',
    { process: 'down', directory: 'none', answers: { 'pg-1-1': 'absent' } },
    'start: LostData: its volume does not hold what the primary must',
  ],
  [23, 'the volume of S was lost', { role: 'sync', process: 'down', directory: 'none' }, 'seed: base-backup'],
  [
    25,
    'the WAL volume of P was full',
    { process: 'crashed', server: { free: { ratio: 0, bytes: 0 } } },
    'abdicate: abdicate',
  ],
  [
    26,
    'the data volume of P is nearly full',
    { server: { free: { ratio: 0.04, bytes: 1e9 } } },
    'hand-over: checkpoint',
  ],
  [27, 'etcd is down', { isRegistered: false, etcd: { readAt: NOW - 600_000 } }, undefined],
  [28, 'etcd is down, then P dies', { role: 'sync', primary: 'gone', isRegistered: false }, undefined],
  [30, 'P is asked to end', { isTerminating: true }, 'hand-over: checkpoint'],
  [30, 'S is asked to end', { role: 'sync', isTerminating: true }, 'leave: set-status'],
];

it.each(failures)('§10 row %i: %s', (_, __, difference, expected) => {
  expect(outcome(difference)).toBe(expected);
});

describe('nothing waits for ever', () => {
  const noSync: Difference = { sync: 'gone', sender: 'absent', answers: { 'pg-1-1': 'absent' }, state: { async: [] } };
  const back = { 'pg-1-2': { status: 'rejoin-ready', statusGeneration: 4 } } as const;

  it('a primary without a candidate still lets a peer come back', () => {
    expect(outcome({ ...noSync, records: back })).toBe('keep-chain: write-state');
    expect(outcome({ ...noSync, records: back, written: { gate: 'closed' } })).toBe('keep-chain: write-state');
  });

  it('a primary without a candidate still ends when it is asked to', () => {
    expect(outcome({ ...noSync, records: { 'pg-1-2': 'absent' }, isTerminating: true })).toBe('hand-over: stop');
  });

  it('a primary without a candidate still answers requests', () => {
    const request = { id: 'r', generation: 3, by: 'op' };
    expect(outcome({ ...noSync, records: { 'pg-1-2': 'absent' }, requests: { switchover: request } })).toBe(
      'answer-request: answer',
    );
  });

  it('a primary that waits for its first sync records its life', () => {
    const first: Difference = {
      state: { sync: aRef(1, { incarnation: null }), async: [aRef(2, { incarnation: null })] },
      written: { gate: 'closed', readOnly: true },
    };
    expect(outcome({ ...first, sync: 'unfit' })).toBe('keep-chain: write-state');
  });

  it('a primary on a wrong timeline abdicates, or takes the right one', () => {
    expect(outcome({ answered: { timeline: 9 } })).toBe('abdicate: abdicate');
    const wrong: Difference = { state: { timeline: 4 }, answered: { timeline: 3 }, isFrozen: true };
    expect(outcome(wrong)).toBe('open: stop');
    expect(outcome({ ...wrong, process: 'down' })).toBe('finish-promotion: start');
  });

  it('a hung primary restarts by itself where nobody can take its role', () => {
    const hung: Difference = { server: { unansweredSince: NOW - 5_000 } };
    expect(outcome({ ...hung, isFrozen: true })).toBe('start: stop');
    expect(outcome({ ...hung, answers: { 'pg-1-1': 'absent' } })).toBe('start: stop');
  });

  it('what a server left behind is ended in every role', () => {
    for (const role of ['sync', 'async', 'deposed', 'none'] as const)
      expect(outcome({ role, process: 'remains' })).toMatch(/: stop$/);
    expect(outcome({ process: 'remains', isFrozen: true })).toBe('start: stop');
  });

  it('every role ends on SIGTERM, whatever its server does', () => {
    for (const role of ['primary', 'sync', 'async', 'deposed', 'none'] as const) {
      for (const directory of ['none', 'unfinished', undefined] as const) {
        const down: Difference = {
          role,
          process: 'down',
          ...(directory === undefined ? {} : { directory }),
          isTerminating: true,
          isFrozen: true,
        };
        expect(outcome(down)).toMatch(/: exit$/);
      }
    }
  });

  it('a shard without a database lets its peers end', () => {
    const empty = { state: { systemId: null }, process: 'down', directory: 'none', isTerminating: true } as const;
    for (const role of ['primary', 'sync', 'async'] as const)
      expect(outcome({ role, ...empty })).toBe(role === 'primary' ? 'hand-over: exit' : 'leave: exit');
  });
});

describe('a receiver that was cut', () => {
  const cut = { role: 'sync', server: { receiverPassword: 'empty' } } as const;
  it('stays cut while the takeover is due, and comes back when it is not', () => {
    expect(outcome({ ...cut, primary: 'gone' })).toBe('take-over: take-over');
    expect(outcome(cut)).toBe('restore-receiver: restore-receiver');
    expect(outcome({ ...cut, primary: 'gone', isFrozen: true })).toBe('restore-receiver: restore-receiver');
    expect(outcome({ ...cut, primary: 'gone', sender: 'absent' })).toBe('restore-receiver: restore-receiver');
  });
});

describe('freezing changes no role', () => {
  const moments: readonly Difference[] = [
    { role: 'sync', primary: 'gone' },
    { role: 'sync', records: { 'pg-1-0': { status: 'abdicating' } } },
    { sync: 'gone' },
    { process: 'crashed' },
    { written: { ssn: ['pg-1-2', 'pg-1-1'] } },
    { requests: { switchover: { id: 'r', generation: 4, by: 'op' } } },
    { isTerminating: true },
    { status: 'handoff' },
  ];
  it.each(moments)('%j', difference => {
    expect(outcome({ ...difference, isFrozen: true }) ?? '').not.toMatch(
      /declare-sync|join-sync|take-over|cut-receiver|: abdicate|handoff|hand-off/,
    );
  });
});

const kinds: readonly JobKind[] = ['start', 'stop', 'initialise', 'base-backup', 'rewind', 'restore', 'checkpoint'];
const sometimes = <Value>(value: fc.Arbitrary<Value>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
const age = fc.constantFrom(10, 900, 1_300, 2_500, 4_000, 12_000, 40_000);

/** Snapshots of every sort, possible and impossible. */
const differences: fc.Arbitrary<Difference> = fc
  .record({
    role: fc.constantFrom('primary', 'sync', 'async', 'deposed', 'none' as const),
    peers: fc.constantFrom(3, 5 as const),
    primary: fc.constantFrom('alive', 'gone', 'silent', 'detached', 'silent, unconfirmed' as const),
    sync: fc.constantFrom('fine', 'fine', 'gone', 'lost', 'stalled', 'unfit' as const),
    isFrozen: fc.boolean(),
    isManual: fc.boolean(),
    isRegistered: fc.constantFrom(true, true, false),
    isTerminating: fc.constantFrom(false, false, true),
    status: fc.constantFrom(
      'active',
      'active',
      'active',
      'leaving',
      'abdicating',
      'handoff',
      'handed-off',
      'rejoin-ready' as const,
    ),
    statusAge: age,
    process: fc.constantFrom('up', 'up', 'down', 'crashed', 'starting', 'remains' as const),
    directory: fc.constantFrom('usable', 'usable', 'none', 'unfinished' as const),
    state: fc.constantFrom('there', 'there', 'there', 'absent', 'no database' as const),
    isCut: fc.boolean(),
    unsettled: fc.constantFrom(false, false, false, true),
    attached: fc.boolean(),
    gate: fc.constantFrom('open', 'closed' as const),
    joint: fc.constantFrom(false, false, true),
    freshAge: fc.constantFrom(100, 100, 5_000),
    job: sometimes(fc.constantFrom(...kinds)),
    request: sometimes(fc.constantFrom('switchover', 'rebuild', 'force-takeover', 'state-repair' as const)),
    abdicating: fc.constantFrom(false, false, true),
    others: fc.constantFrom('well', 'well', 'absent', 'unwell' as const),
    idle: age,
    rewindable: fc.boolean(),
    runsAs: fc.constantFrom('fits', 'fits', 'fits', 'primary', 'standby' as const),
    absence: fc.constantFrom(undefined, undefined, 10_000, 40_000),
    requestedIn: fc.constantFrom(3, 4, 4),
  })
  .map(wish => {
    const isUsable = wish.directory === 'usable';
    const process = isUsable || wish.process === 'starting' ? wish.process : 'down';
    const record = wish.others === 'unwell' ? { health: 'recovering' as const } : {};
    const change = wish.others === 'absent' ? ('absent' as const) : record;
    const request = { id: 'r', generation: wish.requestedIn, by: 'op', peer: 'pg-1-1', acceptDataLoss: true as const };
    return {
      role: wish.role,
      peers: wish.peers,
      primary: wish.primary,
      sync: wish.sync,
      isFrozen: wish.isFrozen,
      isManual: wish.isManual,
      isRegistered: wish.isRegistered,
      isTerminating: wish.isTerminating,
      process,
      ...(isUsable ? {} : { directory: wish.directory as 'none' | 'unfinished' }),
      ...(wish.state === 'absent'
        ? { state: 'absent' as const }
        : wish.state === 'there'
          ? {}
          : { state: { systemId: null } }),
      etcd: {
        unsettled: wish.unsettled,
        absentSince: wish.absence === undefined ? {} : { 'pg-1-2': NOW - wish.absence },
      },
      records: {
        'pg-1-0': wish.abdicating ? { status: 'abdicating' as const } : {},
        'pg-1-2': change,
      },
      ...(wish.attached ? {} : { sender: 'absent' as const }),
      ...(process === 'up'
        ? {
            written: {
              gate: wish.gate,
              ...(wish.joint ? { ssn: ['pg-1-2', 'pg-1-1'] } : {}),
              ...(wish.runsAs === 'fits' ? {} : { role: wish.runsAs }),
            },
          }
        : {}),
      ...(wish.request === undefined ? {} : { requests: { [wish.request]: request } }),
      server: { receiverPassword: wish.isCut ? ('empty' as const) : ('current' as const) },
      answered: {
        streamMovedAt: NOW - wish.idle,
        followedAt: NOW - wish.idle,
        isStreaming: wish.idle < 1_000,
        ...(wish.runsAs === 'fits' ? {} : { inRecovery: wish.runsAs === 'standby', flushed: end(0) }),
      },
      evidence: {
        status: wish.status,
        statusSince: NOW - wish.statusAge,
        freshAt: NOW - wish.freshAge,
        rewindable: wish.rewindable,
      },
      rest: {
        job: wish.job === undefined ? undefined : { kind: wish.job, since: NOW - wish.statusAge },
        terminatingSince: wish.isTerminating ? NOW - wish.statusAge : undefined,
      },
    } satisfies Difference;
  });

describe('over random snapshots', () => {
  it('the same snapshot gives the same decision, and is not changed by it', () => {
    fc.assert(
      fc.property(differences, difference => {
        const snapshot = aSnapshot(difference);
        const before = structuredClone(snapshot);
        const first = decide(snapshot);
        expect(decide(structuredClone(snapshot))).toEqual(first);
        expect(snapshot).toEqual(before);
      }),
    );
  });

  it('the decision is what the first rule says that has a say, and only a remark gives way', () => {
    fc.assert(
      fc.property(differences, difference => {
        const snapshot = aSnapshot(difference);
        const busy = snapshot.job !== undefined && snapshot.job.kind !== 'checkpoint';
        const said = rules
          .filter(rule => !busy || rule.duringJobs === true)
          .map(rule => ({ rule: rule.name, action: rule.decide(snapshot) }))
          .filter(({ action }) => action !== undefined);
        const firm = said.find(({ action }) => !(action?.kind === 'wait' && action.yields));
        expect(decide(snapshot)).toEqual(firm ?? said[0]);
      }),
    );
  });

  it('nobody writes a new generation without a registration, in a frozen shard, or with something unsettled', () => {
    const forbidden = new Set(['join-sync', 'declare-sync', 'take-over', 'bootstrap', 'inherit-bootstrap']);
    fc.assert(
      fc.property(differences, difference => {
        const s = aSnapshot(difference);
        const kind = decide(s)?.action.kind ?? 'wait';
        const isBarred =
          s.etcd.registered === undefined || s.etcd.unsettled || (difference.isFrozen && kind !== 'bootstrap');
        if (isBarred) expect(forbidden).not.toContain(kind);
      }),
      { numRuns: 500 },
    );
  });

  it('only a primary is ever promoted, opened or asked for positions as one', () => {
    const primarys = new Set([
      'promote',
      'open',
      'join-sync',
      'declare-sync',
      'hand-off',
      'record-system',
      'initialise',
    ]);
    fc.assert(
      fc.property(differences, difference => {
        const s = aSnapshot(difference);
        const kind = decide(s)?.action.kind;
        if (kind !== undefined && primarys.has(kind) && difference.role !== 'primary')
          throw new Error(`${difference.role}: ${kind}`);
      }),
      { numRuns: 500 },
    );
  });

  it('no server runs with the gate open as a standby, or with nobody named in a shard of more than one', () => {
    fc.assert(
      fc.property(differences, difference => {
        const action = decide(aSnapshot(difference))?.action;
        if (action === undefined || !('settings' in action)) return;
        const { settings } = action;
        expect(settings.ssn.length).toBeGreaterThan(0);
        if (settings.role === 'standby') expect(settings).toMatchObject({ gate: 'closed', readOnly: true });
      }),
      { numRuns: 500 },
    );
  });

  it('every rule fires', () => {
    const fired = new Map<string, number>(order.map(name => [name, 0]));
    for (const difference of fc.sample(differences, { numRuns: 30_000, seed: 7 })) {
      const decision = decide(aSnapshot(difference));
      if (decision !== undefined) fired.set(decision.rule, (fired.get(decision.rule) ?? 0) + 1);
    }
    expect([...fired].filter(([, times]) => times === 0)).toEqual([]);
  });
});

describe('every rule is needed', () => {
  /** A snapshot in which the whole list does something else once the rule is gone. */
  const needed: Readonly<Record<string, Difference>> = {
    'close-gate': { evidence: { freshAt: NOW - 3_000 } },
    settle: { etcd: { unsettled: true } },
    repair: {
      role: 'sync',
      state: 'absent',
      requests: { 'state-repair': { id: 'r', generation: 0, by: 'op', peer: 'pg-1-1' } },
    },
    hold: { state: 'absent' },
    'stop-superseded': { role: 'none', answered: { inRecovery: false }, written: { role: 'primary' } },
    'finish-promotion': { answered: { inRecovery: true }, written: { role: 'standby' } },
    'finish-replacement': { written: { ssn: ['pg-1-2', 'pg-1-1'] } },
    'finish-handover': { status: 'handoff' },
    'finish-abdication': { status: 'abdicating', process: 'down' },
    abdicate: { process: 'crashed' },
    bootstrap: { state: { systemId: null }, process: 'down', directory: 'none' },
    'take-over': { role: 'sync', primary: 'gone' },
    'restore-receiver': { role: 'sync', server: { receiverPassword: 'empty' } },
    'replace-sync': { sync: 'gone' },
    'hand-over': { isTerminating: true },
    leave: { role: 'async', isTerminating: true },
    rejoin: { role: 'deposed', process: 'crashed', directory: { timeline: 2 } },
    seed: { role: 'async', process: 'down', directory: 'none' },
    start: { role: 'async', process: 'down' },
    open: { written: { gate: 'closed', readOnly: true } },
    follow: { role: 'async', written: { upstream: undefined } },
    'keep-chain': { etcd: { absentSince: { 'pg-1-2': NOW - 30_000 } } },
    'answer-request': { requests: { switchover: { id: 'r', generation: 3, by: 'op' } } },
    'keep-house': { evidence: { rewindable: false } },
  };

  it.each(rules.map(rule => rule.name))('%s', name => {
    const snapshot = aSnapshot(needed[name]);
    const decision = decide(snapshot);
    expect(decision?.rule).toBe(name);
    expect(
      decide(
        snapshot,
        rules.filter(rule => rule.name !== name),
      ),
    ).not.toEqual(decision);
  });
});
