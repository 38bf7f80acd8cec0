import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import { laterOf } from '../../../lib/shard/lsn.ts';
import type { Answered } from '../server.ts';
import { ancestryOf } from './history-file.ts';
import { type Look, look } from './look.ts';
import { createMovement, type Movement } from './movement.ts';
import type { Session } from './session.ts';
import { parseSsn } from './ssn.ts';
import { standbyTimeline } from './standby-timeline.ts';

/** Asks the running server how it is, and remembers what it said (replication.md §11.7, §11.11). */
export interface Probe {
  /**
   * Looks, or joins a look that is on its way already. Waits until 80 ms after that was sent at most, so that a server that
   * owes an answer holds nobody up, and never rejects.
   */
  look(dataDirectory: string): Promise<void>;
  answered(): Answered | undefined;
  /** The safety set as the last answer had it. */
  settings(): Readonly<Record<string, string>> | undefined;
  /** Since when the server has owed an answer. */
  unansweredSince(): number | undefined;
  /** The server is another one now, or none. */
  forget(): void;
}

const PATIENCE_MS = 80;

export function createProbe(deps: { clock: Clock; session: Session }): Probe {
  const movement = createMovement();
  let answered: Answered | undefined;
  let settings: Readonly<Record<string, string>> | undefined;
  let unansweredSince: number | undefined;
  let outstanding: { readonly sentAt: number; readonly done: Promise<void> } | undefined;
  let life = 0;

  async function ask(dataDirectory: string): Promise<void> {
    const mine = life;
    const sentAt = deps.clock.monotonic();
    try {
      const seen = await look(deps.session);
      const answer = await describe(seen, join(dataDirectory, 'pg_wal'), sentAt);
      if (mine !== life) return;
      const { senders, ...moved } = movement.take(seen, sentAt);
      answered = { ...answer, senders, ...moved };
      settings = seen.settings;
      unansweredSince = undefined;
    } catch {
      if (mine === life) unansweredSince ??= sentAt;
    }
  }

  return {
    async look(dataDirectory) {
      const now = deps.clock.monotonic();
      outstanding ??= { sentAt: now, done: ask(dataDirectory) };
      const current = outstanding;
      const done = current.done.finally(() => {
        if (outstanding === current) outstanding = undefined;
      });
      const left = PATIENCE_MS - (now - current.sentAt);
      if (left <= 0 || !(await endsWithin(done, left))) {
        if (outstanding === current) unansweredSince ??= current.sentAt;
      }
    },
    answered: () => answered,
    settings: () => settings,
    unansweredSince: () => unansweredSince,
    forget() {
      life += 1;
      outstanding = undefined;
      deps.session.drop();
      movement.forget();
      answered = undefined;
      settings = undefined;
      unansweredSince = undefined;
    },
  };
}

async function endsWithin(done: Promise<void>, withinMs: number): Promise<boolean> {
  const ended = new AbortController();
  const late = sleep(withinMs, false, { signal: ended.signal }).catch(() => false);
  const inTime = await Promise.race([done.then(() => true), late]);
  ended.abort();
  return inTime;
}

async function describe(seen: Look, walDirectory: string, at: number): Promise<Omit<Answered, keyof Movement>> {
  const timeline = await timelineOf(seen, walDirectory);
  return {
    at,
    inRecovery: seen.inRecovery,
    timeline,
    flushed: seen.flushed,
    received: seen.received,
    replayed: seen.replayed,
    ancestry: await ancestryOf(walDirectory, timeline),
    ssn: parseSsn(seen.settings.synchronous_standby_names ?? ''),
    readOnly: seen.settings.default_transaction_read_only === 'on',
    isStreaming: seen.receiver?.status === 'streaming',
  };
}

/** The exact timeline, in recovery too. */
export async function timelineOf(
  seen: Pick<Look, 'inRecovery' | 'timeline' | 'received' | 'replayed' | 'segmentBytes'>,
  walDirectory: string,
): Promise<number> {
  const end = seen.replayed === undefined ? seen.received : laterOf(seen.replayed, seen.received ?? seen.replayed);
  if (!seen.inRecovery || end === undefined) return seen.timeline;
  return standbyTimeline(walDirectory, { atLeast: seen.timeline, position: end, segmentBytes: seen.segmentBytes });
}
