import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Action, Decision } from './action.ts';
import type { Failures } from './failures.ts';
import type { JobKind, Snapshot } from './snapshot.ts';
import type { Times } from './times.ts';

export interface SitterDeps {
  readonly logger: Logger;
  readonly now: () => number;
  readonly observe: () => Promise<Snapshot>;
  readonly decide: (snapshot: Snapshot) => Decision | undefined;
  /** Resolves with the action that follows at once, if one does. */
  readonly act: (snapshot: Snapshot, action: Action) => Promise<Action | undefined>;
  readonly failures: Failures;
  /** Shown every snapshot with what was decided on it, before it is acted on. */
  readonly report: (round: Round) => void;
  /** Told of every action that ended. */
  readonly acted: (action: Action, startedAt: number, endedAt: number, failed: boolean) => void;
}

/** One turn of the loop. */
export interface Round {
  readonly snapshot: Snapshot;
  readonly decision: Decision | undefined;
}

export interface Sitter {
  /** Runs the loop until an action says `exit`. Rejects when observing or deciding throws: the process has to end. */
  run(): Promise<void>;
  /** An input changed: look at once. */
  poke(): void;
  /** The newest snapshot and the decision on it. */
  last(): Round | undefined;
  /** When the loop last came round, for probes. */
  turnedAt(): number;
  /** The action that runs beyond its deadline. */
  overdue(): { readonly kind: Action['kind']; readonly since: number } | undefined;
}

/** Between two runs of one action that found nothing else to do: a step that waits, like the drain, goes on soon. */
const SAME_AGAIN_MS = 10;

/** Between two looks at what is a matter of milliseconds, and shows itself by nothing but a look. */
const BRIEFLY_MS = 5;

/** Whether what is waited for is a matter of milliseconds. */
export function isBrief(decision: Decision | undefined): boolean {
  return decision?.action.kind === 'wait' && decision.action.isBrief === true;
}

/** These only begin a job, and it is the job's end that counts. */
const JOBS: ReadonlySet<string> = new Set<JobKind>([
  'start',
  'stop',
  'initialise',
  'base-backup',
  'rewind',
  'restore',
  'checkpoint',
]);

/** The sitter's loop (replication.md §4.2): observe, decide, act, and anew. There are never two actions at once. */
export function createSitter(deps: SitterDeps, times: Times): Sitter {
  const { logger, now, failures } = deps;
  let last: Round | undefined;
  let turnedAt = now();
  let overdue: { kind: Action['kind']; since: number } | undefined;
  let isPoked = false;
  let wake: (() => void) | undefined;

  function poke(): void {
    isPoked = true;
    wake?.();
  }

  /** Until the next input, or for so long. */
  async function rest(ms: number): Promise<void> {
    if (!isPoked) {
      const timer = new AbortController();
      await Promise.race([
        new Promise<void>(resolve => {
          wake = resolve;
        }),
        sleep(ms, undefined, { signal: timer.signal }).catch(() => {}),
      ]);
      timer.abort();
      wake = undefined;
    }
    isPoked = false;
  }

  /** What was decided and what follows it. Whether all of it ended well. */
  async function performAll(snapshot: Snapshot, decision: Decision, isAgain: boolean): Promise<boolean> {
    for (let action: Action | undefined = decision.action; action !== undefined; ) {
      const { isFine, next } = await perform(snapshot, { ...decision, action }, isAgain);
      if (!isFine) return false;
      action = next;
    }
    return true;
  }

  /** Waits for its end even beyond the deadline: nobody knows what it still does. */
  async function perform(snapshot: Snapshot, { rule, action }: Decision, isAgain: boolean) {
    const startedAt = now();
    const deadline = setTimeout(() => {
      overdue = { kind: action.kind, since: now() };
      logger.error({ rule, action: action.kind, afterMs: times.actionMs }, 'action overdue');
    }, times.actionMs);
    let isFine = true;
    let next: Action | undefined;
    try {
      next = await deps.act(snapshot, action);
      if (!JOBS.has(action.kind)) failures.succeeded(action.kind);
    } catch (error) {
      isFine = false;
      failures.failed(action.kind, error);
    } finally {
      clearTimeout(deadline);
      overdue = undefined;
    }
    const endedAt = now();
    const facts = { rule, action: action.kind, tookMs: Math.round(endedAt - startedAt), isFine };
    logger[isAgain ? 'debug' : 'info'](facts, 'acted');
    deps.acted(action, startedAt, endedAt, !isFine);
    return { isFine, next };
  }

  return {
    poke,
    last: () => last,
    turnedAt: () => turnedAt,
    overdue: () => overdue,
    async run() {
      let before: string | undefined;
      for (;;) {
        // What arrives from here on is not in the snapshot for certain.
        isPoked = false;
        const snapshot = await deps.observe();
        const decision = deps.decide(snapshot);
        last = { snapshot, decision };
        turnedAt = now();
        deps.report(last);
        if (decision?.action.kind === 'exit') return;
        if (decision === undefined || decision.action.kind === 'wait') {
          before = undefined;
          await rest(isBrief(decision) ? BRIEFLY_MS : times.loopMs);
          continue;
        }
        const name = `${decision.rule} ${decision.action.kind}`;
        const isFine = await performAll(snapshot, decision, name === before);
        if (!isFine || name === before) await sleep(SAME_AGAIN_MS);
        if (!isFine) await rest(times.loopMs);
        before = name;
      }
    },
  };
}
