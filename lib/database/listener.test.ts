import { pino } from 'pino';
import { eventually } from '../eventually/eventually.ts';
import { createListener, type Listener, listenerDefaults } from './listener.ts';
import type { ConnectionTarget } from './pool.ts';
import { queryOnce, testServer } from './testing.ts';
import { createTestProxy, type TestProxy } from './testing-proxy.ts';

const CHANNEL = `listener_test_${process.pid}`;
const target: ConnectionTarget = () => ({ ...testServer(), database: 'postgres' });

let proxy: TestProxy;
let listener: Listener | undefined;

beforeEach(async () => {
  proxy = await createTestProxy(target);
});

afterEach(async () => {
  await listener?.close();
  await proxy.close();
});

/** Listens through the proxy; what it tells, in order, `alive` left out. */
function listen(heartbeatMs = 5_000): { readonly told: readonly string[]; readonly beats: () => number } {
  const told: string[] = [];
  let beats = 0;
  listener = createListener(
    { logger: pino({ level: 'silent' }), random: Math.random },
    proxy.target,
    { ...listenerDefaults, channel: CHANNEL, heartbeatMs, retryMs: { first: 5, last: 20 } },
    {
      notified: payload => told.push(payload),
      connected: () => told.push('connected'),
      alive: () => {
        beats += 1;
      },
      lost: () => told.push('lost'),
    },
  );
  return { told, beats: () => beats };
}

function notify(payload: string): Promise<unknown> {
  return queryOnce(target, 'SELECT pg_notify($1, $2)', [CHANNEL, payload]);
}

describe('a listener', () => {
  it('tells of every notification once it is connected', async () => {
    const { told } = listen();
    await eventually(() => expect(told).toEqual(['connected']));
    await notify('one');
    await notify('');
    await eventually(() => expect(told).toEqual(['connected', 'one', '']));
  });

  it('says that it misses some, and when it hears again', async () => {
    const { told } = listen();
    await eventually(() => expect(told).toEqual(['connected']));
    await proxy.cut();
    await eventually(() => expect(told).toEqual(['connected', 'lost']));
    expect(listener?.isConnected()).toBe(false);
    await notify('missed');
    await proxy.restore();
    await eventually(() => expect(told).toEqual(['connected', 'lost', 'connected']));
    await notify('heard');
    await eventually(() => expect(told).toEqual(['connected', 'lost', 'connected', 'heard']));
  });

  it('asks an idle server whether it is there, and gives up one that falls silent', async () => {
    const { told, beats } = listen(50);
    await eventually(() => expect(beats()).toBeGreaterThan(2));
    expect(told).toEqual(['connected']);
    proxy.hold();
    await eventually(() => expect(told).toEqual(['connected', 'lost']));
    proxy.release();
    await eventually(() => expect(told).toEqual(['connected', 'lost', 'connected']));
  });

  it('closes while connected, with a last word', async () => {
    const { told } = listen();
    await eventually(() => expect(told).toEqual(['connected']));
    await listener?.close();
    expect(told).toEqual(['connected', 'lost']);
  });

  it.each(['refuses', 'says nothing'])('closes at once while the server %s', async how => {
    if (how === 'refuses') await proxy.cut();
    else proxy.hold();
    const { told } = listen();
    const started = performance.now();
    await listener?.close();
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(told).toEqual([]);
  });
});
