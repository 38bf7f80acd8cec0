import pino from 'pino';
import type { Clock } from '../lifecycle/clock.ts';
import type { Coordinator, Transaction } from './coordinator.ts';
import { followPrefix } from './follow-prefix.ts';
import { register } from './registration.ts';
import type { Sleep } from './sleep.ts';

/** A store, the way to it, and time, real or not. */
export interface ContractWorld {
  /** One more client, connected; the world closes it. */
  client(): Promise<Coordinator>;
  /** Waits, and lets time pass meanwhile. */
  run<T>(promise: Promise<T>): Promise<T>;
  pass(ms: number): Promise<void>;
  /** Lets time pass until the check holds; rejects after `withinMs`. */
  until(check: () => boolean, withinMs: number): Promise<void>;
  readonly clock: Clock;
  readonly sleep: Sleep;
  /** From now on nobody listens; what clients had under way is over. */
  refuse(): Promise<void>;
  /** From now on nobody answers. */
  silence(): Promise<void>;
  /** As it was before `refuse` or `silence`, contents included. */
  recover(): Promise<void>;
}

const logger = pino({ level: 'silent' });
let prefixes = 0;

/** What every adapter of `Coordinator` does. */
export function describeCoordinator(name: string, world: () => ContractWorld): void {
  describe(`the coordinator over ${name}`, () => {
    let client: Coordinator;
    let prefix: string;
    beforeEach(async () => {
      prefix = `/contract/${++prefixes}/`;
      client = await world().client();
    });

    const commit = (transaction: Transaction, by = client) => world().run(by.commit(transaction));
    const put = (key: string, value: string, lease?: string) =>
      commit({ compare: [], operations: [{ put: prefix + key, value, ...(lease === undefined ? {} : { lease }) }] });
    const read = async (by = client) => (await world().run(by.read(prefix))).entries;
    const values = async (by = client) =>
      (await read(by)).map(entry => `${entry.key.slice(prefix.length)}=${entry.value}`);

    describe('reading and writing', () => {
      it('shows one client at once what another has written, in the order of keys, and nothing outside the prefix', async () => {
        const other = await world().client();
        await put('b', '2');
        await put('a', 'é');
        await commit({ compare: [], operations: [{ put: `${prefix.slice(0, -1)}0`, value: 'beside' }] });
        expect(await values(other)).toEqual(['a=é', 'b=2']);
      });

      it('gives what one transaction writes one revision, the one it answers with', async () => {
        await put('gone', '');
        const operations = [
          { put: `${prefix}a`, value: '' },
          { put: `${prefix}b`, value: '' },
          { delete: `${prefix}gone` },
        ];
        const outcome = await commit({ compare: [], operations });
        const { revision, entries } = await world().run(client.read(prefix));
        expect(outcome).toEqual({ kind: 'committed', revision });
        expect(entries.map(entry => [entry.createRevision, entry.modRevision])).toEqual([
          [revision, revision],
          [revision, revision],
        ]);
      });

      it('keeps the creation revision while the key lives', async () => {
        await put('a', '1');
        const [first] = await read();
        await put('a', '2');
        const [second] = await read();
        await commit({ compare: [], operations: [{ delete: `${prefix}a` }] });
        await put('a', '3');
        const [third] = await read();
        expect(second?.createRevision).toBe(first?.createRevision);
        expect(second?.modRevision).toBeGreaterThan(first?.modRevision ?? Infinity);
        expect(third?.createRevision).toBe(third?.modRevision);
      });

      it('applies all of a transaction or, unless every comparison holds, nothing', async () => {
        const key = `${prefix}a`;
        const operations = [
          { put: key, value: 'new' },
          { put: `${prefix}b`, value: '' },
        ];
        expect(await commit({ compare: [{ key, modRevision: 1 }], operations })).toEqual({ kind: 'conflict' });
        expect(
          await commit({ compare: [{ key, is: 'absent' }], operations: [{ put: key, value: 'old' }] }),
        ).toMatchObject({
          kind: 'committed',
        });
        const [entry] = await read();
        const { createRevision = 0, modRevision = 0 } = entry ?? {};
        for (const compare of [
          [{ key, is: 'absent' as const }],
          [{ key, modRevision: modRevision + 1 }],
          [{ key, createRevision: createRevision - 1 }],
          [
            { key, modRevision },
            { key: `${prefix}b`, createRevision },
          ],
        ])
          expect(await commit({ compare, operations })).toEqual({ kind: 'conflict' });
        expect(await values()).toEqual(['a=old']);
        const compare = [
          { key, modRevision },
          { key, createRevision },
          { key: `${prefix}b`, is: 'absent' as const },
        ];
        expect(await commit({ compare, operations })).toMatchObject({ kind: 'committed' });
        expect(await values()).toEqual(['a=new', 'b=']);
      });

      it('loses no addition of writers that compare', async () => {
        const key = `${prefix}n`;
        const add = async (by: Coordinator): Promise<void> => {
          for (let added = 0; added < 10; ) {
            const [entry] = (await by.read(key)).entries;
            const compare = [
              entry === undefined ? { key, is: 'absent' as const } : { key, modRevision: entry.modRevision },
            ];
            const operations = [{ put: key, value: String(Number(entry?.value ?? 0) + 1) }];
            if ((await by.commit({ compare, operations })).kind === 'committed') added += 1;
          }
        };
        const [second, third] = [await world().client(), await world().client()];
        await world().run(Promise.all([add(client), add(second), add(third)]));
        expect(await values()).toEqual(['n=30']);
      });

      it('refuses a transaction that writes a key twice', async () => {
        const operations = [{ put: `${prefix}a`, value: '' }, { delete: `${prefix}a` }];
        await expect(client.commit({ compare: [], operations })).rejects.toThrow(RangeError);
      });
    });

    describe('leases', () => {
      it('are granted in whole seconds, and remove their keys once they are no longer renewed', async () => {
        const granted = await world().run(client.grantLease(900));
        expect(granted.ttlMs).toBe(1_000);
        await put('a', '', granted.lease);
        await put('b', '');
        expect((await read()).map(entry => entry.lease)).toEqual([granted.lease, undefined]);
        for (let i = 0; i < 4; i += 1) {
          await world().pass(400);
          expect(await world().run(client.renewLease(granted.lease))).toBe(true);
        }
        expect(await values()).toEqual(['a=', 'b=']);
        const hints = counter();
        const watch = client.watch(prefix, hints.count);
        await world().until(() => hints.value > 0, 5_000);
        const before = hints.value;
        await world().until(() => hints.value > before, 4_000);
        expect(await values()).toEqual(['b=']);
        watch.close();
        expect(await world().run(client.renewLease(granted.lease))).toBe(false);
      });

      it('remove their keys at once when they are revoked, and may be revoked again', async () => {
        const { lease } = await world().run(client.grantLease(2_000));
        await put('a', '', lease);
        await world().run(client.revokeLease(lease));
        expect(await values()).toEqual([]);
        await world().run(client.revokeLease(lease));
        expect(await world().run(client.renewLease(lease))).toBe(false);
      });

      it('leave a key that was written again without them', async () => {
        const { lease } = await world().run(client.grantLease(2_000));
        await put('a', '1', lease);
        await put('a', '2');
        await world().run(client.revokeLease(lease));
        expect(await values()).toEqual(['a=2']);
      });

      it('that have ended bind nothing: a conflict', async () => {
        const { lease } = await world().run(client.grantLease(2_000));
        await world().run(client.revokeLease(lease));
        const operations = [
          { put: `${prefix}a`, value: '', lease },
          { put: `${prefix}b`, value: '' },
        ];
        expect(await commit({ compare: [], operations })).toEqual({ kind: 'conflict' });
        expect(await values()).toEqual([]);
      });
    });

    describe('a watch', () => {
      it('hints soon at every change under its prefix, until it is closed', async () => {
        const hints = counter();
        const watch = client.watch(prefix, hints.count);
        await world().until(() => hints.value > 0, 5_000);
        for (const change of [() => put('a', '1'), () => put('a', '2')]) {
          const before = hints.value;
          await change();
          await world().until(() => hints.value > before, 5_000);
        }
        watch.close();
        watch.close();
        const before = hints.value;
        await put('a', '3');
        await world().pass(50);
        expect(hints.value).toBe(before);
      });

      it('hints when the store comes back, and goes on', async () => {
        const hints = counter();
        client.watch(prefix, hints.count);
        await world().until(() => hints.value > 0, 5_000);
        await world().refuse();
        await world().pass(50);
        const down = hints.value;
        await world().recover();
        await world().until(() => hints.value > down, 5_000);
        const before = hints.value;
        await put('a', '1');
        await world().until(() => hints.value > before, 5_000);
      });
    });

    describe('without an answer', () => {
      afterEach(() => world().recover());

      it('a call that nobody takes has certainly not been carried out', async () => {
        await put('a', '1');
        await world().refuse();
        expect(await put('a', '2')).toMatchObject({ kind: 'unavailable', message: expect.any(String) });
        const calls = [
          client.read(prefix),
          client.grantLease(2_000),
          client.renewLease('1'),
          client.revokeLease('1'),
        ] as Promise<unknown>[];
        await Promise.all(
          calls.map(call => expect(world().run(call)).rejects.toMatchObject({ code: 'CoordinatorUnavailable' })),
        );
        await world().recover();
        expect(await values(await world().client())).toEqual(['a=1']);
      });

      it('a transaction that was taken is unknown, and a reading failed', async () => {
        await put('a', '1');
        await world().silence();
        expect(await put('a', '2')).toMatchObject({ kind: 'unknown' });
        await expect(world().run(client.read(prefix))).rejects.toMatchObject({ code: 'CoordinatorUnavailable' });
      });

      it('a caller may give up: before a transaction was sent, or after', async () => {
        const operations = [{ put: `${prefix}a`, value: '1' }];
        const given = AbortSignal.abort();
        expect(await client.commit({ compare: [], operations }, { signal: given })).toMatchObject({
          kind: 'unavailable',
        });
        expect(await values()).toEqual([]);
        await expect(client.read(prefix, { signal: given })).rejects.toMatchObject({ code: 'CoordinatorUnavailable' });
        await world().silence();
        const giving = new AbortController();
        const sent = client.commit({ compare: [], operations }, { signal: giving.signal });
        await world().pass(20);
        giving.abort();
        expect(await sent).toMatchObject({ kind: 'unknown' });
      });
    });

    describe('carries', () => {
      it('a view of a prefix over an outage', async () => {
        const { clock, sleep } = world();
        await put('a', '1');
        const view = followPrefix({ logger, clock, sleep }, client, prefix);
        await world().until(() => view.current()?.entries.length === 1, 5_000);
        await world().refuse();
        await world().pass(300);
        await world().recover();
        expect(await put('a', '2')).toMatchObject({ kind: 'committed' });
        await world().until(() => view.current()?.entries[0]?.value === '2', 5_000);
        expect(view.current()?.wentBack).toBe(false);
        await world().run(view.close());
      });

      it('a registration over an outage, and passes it on when it is released', async () => {
        const { clock, sleep } = world();
        const key = `${prefix}peer`;
        const as = async (session: string) => {
          const own = await world().client();
          return register({ logger, clock, sleep }, own, { key, session, value: () => JSON.stringify({ session }) });
        };
        const first = await as('one');
        await world().until(() => first.isValid(), 5_000);
        const second = await as('two');
        await world().until(() => second.blockedBy() === 'one', 5_000);
        await world().refuse();
        await world().until(() => !first.isValid(), 5_000);
        await world().recover();
        await world().until(() => first.isValid() || second.isValid(), 5_000);
        expect(first.isValid() && second.isValid()).toBe(false);
        const [holder, waiter] = first.isValid() ? [first, second] : [second, first];
        await world().run(holder.release());
        await world().until(() => waiter.isValid(), 5_000);
        const [entry] = await read();
        expect(entry?.createRevision).toBe(waiter.createRevision());
        await world().run(waiter.release());
        expect(await values()).toEqual([]);
      });
    });
  });
}

function counter() {
  const hints = {
    value: 0,
    count: () => {
      hints.value += 1;
    },
  };
  return hints;
}
