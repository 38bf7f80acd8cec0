import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { eventually } from '../../lib/eventually/eventually.ts';
import type { Action, Decision } from './action.ts';
import { createFailures } from './failures.ts';
import { createSitter, type SitterDeps } from './sitter.ts';
import { aSnapshot } from './testing/a-snapshot.ts';
import { defaultTimes } from './times.ts';

const logger = pino({ level: 'silent' });
const now = () => performance.now();
const configure: Action = { kind: 'set-status', status: 'leaving' };

/** A loop over decisions that the test makes. Ends with `exit`. */
function aLoop(deps: Partial<SitterDeps> = {}, { loopMs = 10_000, actionMs = 10_000 } = {}) {
  let decision: Decision | undefined;
  let rounds = 0;
  const failures = createFailures({ logger, now });
  const sitter = createSitter(
    {
      logger,
      now,
      failures,
      observe: async () => aSnapshot(),
      decide: () => {
        rounds += 1;
        return decision;
      },
      act: async () => undefined,
      report: () => {},
      acted: () => {},
      ...deps,
    },
    { ...defaultTimes, loopMs, actionMs },
  );
  const wish = (action: Action | undefined) => {
    decision = action === undefined ? undefined : { rule: 'test', action };
    sitter.poke();
  };
  const ended = sitter.run();
  ended.catch(() => {});
  const exit = () => {
    wish({ kind: 'exit' });
    return ended;
  };
  return { sitter, failures, wish, ended, rounds: () => rounds, exit };
}

test('it looks when it is poked, and else only every now and then', async () => {
  const loop = aLoop();
  await eventually(() => loop.rounds() === 1);
  await sleep(50);
  expect(loop.rounds()).toBe(1);
  loop.sitter.poke();
  await eventually(() => loop.rounds() === 2);
  await loop.exit();

  const idle = aLoop({}, { loopMs: 5 });
  await eventually(() => idle.rounds() > 5);
  await idle.exit();
});

test('what happens while it looks makes it look again', async () => {
  let looks = 0;
  const loop = aLoop({
    observe: async () => {
      await sleep(1);
      looks += 1;
      if (looks === 1) loop.sitter.poke();
      return aSnapshot();
    },
  });
  await eventually(() => looks === 2);
  await loop.exit();
});

test('there are never two actions at once, also when one takes longer than it may', async () => {
  let running = 0;
  let acts = 0;
  let release = () => {};
  const loop = aLoop(
    {
      act: async () => {
        running += 1;
        acts += 1;
        expect(running).toBe(1);
        if (acts === 1) {
          await new Promise<void>(resolve => {
            release = resolve;
          });
        }
        running -= 1;
      },
    },
    { actionMs: 20 },
  );
  loop.wish(configure);
  await eventually(() => loop.sitter.overdue()?.kind === 'set-status');
  for (let times = 0; times < 5; times += 1) loop.sitter.poke();
  expect(acts).toBe(1);
  release();
  await eventually(() => acts > 2);
  expect(loop.sitter.overdue()).toBeUndefined();
  await loop.exit();
});

test('what follows an action is done at once, and counted and told as what it is', async () => {
  const done: string[] = [];
  let looks = 0;
  const loop = aLoop({
    observe: async () => {
      looks += 1;
      return aSnapshot();
    },
    act: async (_, { kind }) => {
      if (kind === 'settle') throw new Error('no');
      return kind === 'set-status' ? { kind: 'settle' } : undefined;
    },
    acted: ({ kind }, _, __, failed) => {
      done.push(`${kind} ${failed ? 'failed' : 'fine'} after ${looks} looks`);
    },
  });
  await eventually(() => loop.rounds() === 1);
  loop.wish(configure);
  await eventually(() => done.length === 2);
  expect(done).toEqual(['set-status fine after 2 looks', 'settle failed after 2 looks']);
  expect(loop.failures.current).toMatchObject({ settle: { count: 1 } });
  expect(loop.failures.current['set-status']).toBeUndefined();
  await loop.exit();
});

test('a failed action is counted, and tried again not at once', async () => {
  let acts = 0;
  const loop = aLoop({
    act: async () => {
      acts += 1;
      if (acts < 3) throw new Error('no');
    },
  });
  await eventually(() => loop.rounds() === 1);
  loop.wish(configure);
  await eventually(() => loop.failures.current['set-status']?.count === 1);
  await sleep(50);
  expect(acts).toBe(1);
  loop.sitter.poke();
  await eventually(() => loop.failures.current['set-status']?.count === 2);
  loop.sitter.poke();
  await eventually(() => loop.failures.current['set-status'] === undefined);
  await loop.exit();
});

test('that a job could be started does not mean that it succeeded', async () => {
  const loop = aLoop();
  loop.failures.failed('base-backup', new Error('no'));
  loop.wish({ kind: 'base-backup', from: { id: 'a', host: 'h', port: 1 } });
  await eventually(() => loop.rounds() > 2);
  expect(loop.failures.current['base-backup']?.count).toBe(1);
  await loop.exit();
});

test('after an action it looks again at once', async () => {
  const order: string[] = [];
  const loop = aLoop({
    observe: async () => {
      order.push('observe');
      return aSnapshot();
    },
    act: async () => {
      order.push('act');
      loop.wish(undefined);
    },
  });
  await eventually(() => loop.rounds() === 1);
  loop.wish(configure);
  await eventually(() => order.length >= 4);
  expect(order.slice(0, 4)).toEqual(['observe', 'observe', 'act', 'observe']);
  await loop.exit();
});

test('a rule that waits is shown, and nothing is done', async () => {
  let acts = 0;
  const loop = aLoop({
    act: async () => {
      acts += 1;
    },
  });
  loop.wish({ kind: 'wait', why: 'the tide' });
  await eventually(() => loop.sitter.last()?.decision?.action.kind === 'wait');
  expect(acts).toBe(0);
  await loop.exit();
});

test('an error in looking or in deciding ends it', async () => {
  const observing = aLoop({ observe: () => Promise.reject(new Error('blind')) });
  await expect(observing.ended).rejects.toThrow('blind');
  const deciding = aLoop({
    decide: () => {
      throw new Error('at a loss');
    },
  });
  await expect(deciding.ended).rejects.toThrow('at a loss');
});
