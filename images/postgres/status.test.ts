import express from 'express';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createControlServer } from '../../lib/control-server/control-server.ts';
import type { Decision } from './action.ts';
import type { Heard } from './heartbeat-receiver.ts';
import type { Snapshot } from './snapshot.ts';
import { adminRouter, internalRouter, isLive, isReady } from './status.ts';
import { aSnapshot, type Difference, NOW } from './testing/a-snapshot.ts';

describe('a peer is ready', () => {
  test.each<[string, Difference, boolean]>([
    ['as an open primary', {}, true],
    ['not as a primary whose gate is closed', { written: { gate: 'closed' } }, false],
    ['not as a read-only primary', { written: { readOnly: true } }, false],
    ['not as a primary whose server is still in recovery', { answered: { inRecovery: true } }, false],
    ['not without its server', { process: 'crashed' }, false],
    ['as a sync that streams', { role: 'sync' }, true],
    ['as an async that streams', { role: 'async' }, true],
    ['not as a standby that does not', { role: 'async', answered: { isStreaming: false } }, false],
    [
      'not as a standby of the wrong peer',
      { role: 'async', written: { upstream: { id: 'x', host: 'h', port: 1 } } },
      false,
    ],
    ['not outside the chain', { role: 'none' }, false],
    ['not without a state', { state: 'absent' }, false],
  ])('%s', (_, difference, expected) => {
    expect(isReady(aSnapshot(difference))).toBe(expected);
  });

  test('not before it has looked', () => {
    expect(isReady(undefined)).toBe(false);
  });
});

test('the loop has five seconds to come round', () => {
  const aged = (ms: number) => isLive({ now: () => NOW, sitter: { turnedAt: () => NOW - ms, last, overdue } });
  expect([aged(4_999), aged(5_000)]).toEqual([true, false]);
});

const last = () => undefined;
const overdue = () => undefined;

async function ask(
  path: string,
  snapshot?: Snapshot,
  { decision, heard }: { decision?: Decision; heard?: Heard } = {},
) {
  const deps = {
    now: () => NOW,
    identity: () => ({ shard: 1, id: 'pg-1-0', incarnation: 'life-0', session: 's' }),
    sitter: { last: () => snapshot && { snapshot, decision }, turnedAt: () => NOW, overdue },
    receiver: { heard: () => heard ?? { last: undefined, brokenAt: undefined } },
  };
  const router = express.Router().use('/internal/v1', internalRouter(deps)).use('/admin/v1', adminRouter(deps));
  const server = createControlServer(
    { logger: pino({ level: 'silent' }), registry: new Registry(), isReady: () => true, routers: [['/', router]] },
    { host: '127.0.0.1', port: 0, drainMs: 0 },
  );
  try {
    const response = await fetch(`${(await server.listen()).url}${path}`);
    return { status: response.status, body: await response.json() };
  } finally {
    await server.close();
  }
}

test('a ping says who answers', async () => {
  const { body } = await ask('/internal/v1/ping');
  expect(body).toEqual({ shard: 1, id: 'pg-1-0', incarnation: 'life-0', session: 's' });
});

describe('asked for the primary, it', () => {
  test('says for how long nobody can have superseded it', async () => {
    const { body } = await ask('/internal/v1/primary', aSnapshot({ evidence: { freshAt: NOW - 1_000 } }));
    expect(body).toEqual({ id: 'pg-1-0', incarnation: 'life-0', generation: 4, freshForMs: 2_000 });
  });

  test('says zero once nothing proves it any more', async () => {
    const { body } = await ask('/internal/v1/primary', aSnapshot({ evidence: { freshAt: NOW - 9_000 } }));
    expect(body).toMatchObject({ freshForMs: 0 });
  });

  test('has nothing to fear alone', async () => {
    const { body } = await ask('/internal/v1/primary', aSnapshot({ peers: 1, evidence: { freshAt: undefined } }));
    expect(body).toMatchObject({ freshForMs: 3_000 });
  });

  test.each<[string, Difference]>([
    ['a standby', { role: 'sync' }],
    ['closed', { written: { gate: 'closed' } }],
    ['without its server', { process: 'crashed' }],
  ])('is none when it is %s', async (_, difference) => {
    expect((await ask('/internal/v1/primary', aSnapshot(difference))).status).toBe(404);
  });
});

describe('asked what it heard, it', () => {
  test('says for how long it has heard nothing', async () => {
    const heard = { last: { at: NOW - 700 } as Heard['last'], brokenAt: undefined };
    const { body } = await ask('/internal/v1/heard?primary=pg-1-9', aSnapshot({ role: 'async' }), { heard });
    expect(body).toEqual({ shard: 1, id: 'pg-1-0', primary: 'pg-1-9', silentForMs: 700 });
  });

  test('counts from its own start when it never heard anything', async () => {
    const { body } = await ask('/internal/v1/heard', aSnapshot({ role: 'async' }));
    expect(body).toMatchObject({ primary: 'pg-1-0', silentForMs: 0 });
  });

  test('needs to know of whom', async () => {
    expect((await ask('/internal/v1/heard')).status).toBe(400);
  });
});

test('people see the role, the rule that waits, the verdicts, and positions as PostgreSQL writes them', async () => {
  const decision: Decision = { rule: 'open', action: { kind: 'wait', why: 'the tide' } };
  const snapshot = aSnapshot({ sync: 'stalled', isFrozen: true, etcd: { absentSince: { 'pg-1-2': NOW - 400 } } });
  const { body } = await ask('/admin/v1/state', snapshot, { decision });
  expect(body).toMatchObject({
    role: 'primary',
    health: 'ok',
    isReady: true,
    rule: { name: 'open', action: 'wait', why: 'the tide' },
    verdicts: { sync: { kind: 'stalled' } },
    coordination: { readAgeMs: 200, absentForMs: { 'pg-1-2': 400 } },
    freeze: { reason: 'test' },
    server: { process: { kind: 'up' }, answered: { flushed: '0/5000000' } },
  });
});

test('before the first look there is little to show', async () => {
  expect((await ask('/admin/v1/state')).body).toMatchObject({ id: 'pg-1-0', role: 'none' });
});
