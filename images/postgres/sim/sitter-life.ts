import type { Logger } from 'pino';
import type { Coordinator } from '../../../lib/coordinator/coordinator.ts';
import { followPrefix } from '../../../lib/coordinator/follow-prefix.ts';
import { register } from '../../../lib/coordinator/registration.ts';
import type { ShardKeys } from '../../../lib/shard/keys.ts';
import { act, executors } from '../act.ts';
import type { Action, Decision } from '../action.ts';
import { decide, type Rule, rules } from '../decide.ts';
import { createDetector } from '../detector.ts';
import { createFailures } from '../failures.ts';
import { healthOf } from '../health.ts';
import { createJobs } from '../jobs.ts';
import { answerOf, heartbeatOf, identityOf } from '../lines.ts';
import { createObserver } from '../observe.ts';
import { createOwnRecord } from '../own-record.ts';
import type { LocalRecordFile, Ports } from '../ports.ts';
import { isBrief } from '../sitter.ts';
import type { LocalRecord, Me, Snapshot } from '../snapshot.ts';
import { createShardStore } from '../store.ts';
import type { Times } from '../times.ts';
import type { Mutation } from './mutations.ts';
import type { ModelServer } from './postgres.ts';
import type { Life } from './scheduler.ts';
import { createSitterPort, type Listener, type SitterPortDeps } from './sitter-port.ts';
import type { Volume } from './volume.ts';

/** What one sitter process is made of; everything but the transports is the production code. */
export interface SitterDeps {
  readonly life: Life;
  readonly logger: Logger;
  readonly me: Me;
  readonly keys: ShardKeys;
  readonly coordinator: Coordinator;
  readonly server: ModelServer;
  readonly volume: Volume;
  readonly times: Times;
  readonly mutation: Mutation | undefined;
  readonly port: Pick<SitterPortDeps, 'network' | 'hostOf' | 'listenerAt'>;
  readonly randomName: () => string;
  /** Every decision, before it is acted upon. */
  readonly decided: (decision: Decision) => void;
  readonly failed: (action: Action, error: unknown) => void;
  /** An action said `exit`. */
  readonly exit: () => void;
}

export interface SitterLife {
  readonly listener: Listener;
  /** An input has changed. */
  poke(): void;
  terminate(): void;
}

const AGAIN_MS = 10;

/** Starts a sitter: §7.1, then the loop of §4.2 as `sitter.ts` runs it, on simulated time. */
export function startSitter(deps: SitterDeps): SitterLife {
  const { life, logger, me, keys, volume, times, mutation } = deps;
  const clock = { now: () => 0, monotonic: () => life.now() };
  const sleep = (ms: number, signal?: AbortSignal) => life.sleep(ms, signal);
  const coordinator = mutation?.coordinator?.(deps.coordinator, keys) ?? deps.coordinator;
  const server = mutation?.server?.(deps.server) ?? deps.server;
  const now = () => life.now();
  let terminatingSince: number | undefined;
  let latest: Snapshot | undefined;
  let wake: (() => void) | undefined;
  let isPoked = false;
  const poke = () => {
    isPoked = true;
    wake?.();
  };

  const predecessor = volume.session;
  volume.session = me.session;
  const local = localRecord(life, volume, me.id);
  const failures = createFailures({ logger, now });
  const jobs = createJobs({ logger, now, failures }, poke);
  const registration = register({ logger, clock, sleep }, coordinator, {
    key: keys.peer(me.id),
    session: me.session,
    value: () => record.value(),
  });
  const record = createOwnRecord({ logger, now, write: () => registration.update() }, me, {
    local: local.current(),
    server: emptyView,
    health: 'starting',
    progress: undefined,
    rule: undefined,
  });
  if (predecessor !== undefined) void registration.replaceSession(predecessor);
  const prefix = followPrefix({ logger, clock, sleep }, coordinator, keys.prefix);
  const store = createShardStore({ logger, clock, coordinator, prefix, registration }, { keys, id: me.id });
  store.onChange(poke);

  const port = createSitterPort(
    {
      id: me.id,
      life,
      ...deps.port,
      line: n => heartbeatOf(identityOf(me, local.current()), latest, n, now()),
      answer: line => answerOf(identityOf(me, local.current()), latest, line.n),
      identity: () => identityOf(me, local.current()),
      onChange: poke,
    },
    times,
  );
  const detector = createDetector(mutation?.detector?.(port.parts) ?? port.parts, me.id, times);
  const own = mutation?.record?.(record) ?? record;
  const observe = createObserver(
    { now, server, store, local, record: own, jobs, failures, detector, terminatingSince: () => terminatingSince },
    me,
    times,
  );
  const ports: Ports = {
    logger,
    pace: { now, sleep },
    server,
    store,
    record: own,
    local,
    jobs,
    randomName: deps.randomName,
  };
  const ordered: readonly Rule[] = (mutation?.rules ?? []).reduce(
    (list, rule) => list.map(known => (known.name === rule.name ? rule : known)),
    rules,
  );
  const table = { ...executors, ...mutation?.executors };

  /** Until the next input, or for so long. */
  async function rest(ms: number): Promise<void> {
    if (!isPoked) {
      await life.promise<void>(settle => {
        wake = () => settle.resolve(undefined);
        life.after(ms, wake);
      });
      wake = undefined;
    }
    isPoked = false;
  }

  async function perform(snapshot: Snapshot, { rule, action }: Decision): Promise<boolean> {
    try {
      const next = await act(ports, snapshot, action, table);
      if (!JOBS.has(action.kind)) failures.succeeded(action.kind);
      if (next === undefined) return true;
      deps.decided({ rule, action: next });
      return perform(snapshot, { rule, action: next });
    } catch (error) {
      failures.failed(action.kind, error);
      deps.failed(action, error);
      return false;
    }
  }

  async function run(): Promise<void> {
    let before: string | undefined;
    for (;;) {
      isPoked = false;
      const snapshot = await observe();
      latest = snapshot;
      const decision = decide(snapshot, ordered);
      const rule = decision?.action.kind === 'wait' ? { name: decision.rule, why: decision.action.why } : undefined;
      record.show({
        local: local.current(),
        server: snapshot.server,
        health: healthOf(snapshot),
        progress: jobs.progress(),
        rule,
      });
      if (decision !== undefined) deps.decided(decision);
      if (decision?.action.kind === 'exit') {
        await registration.release();
        return deps.exit();
      }
      if (decision === undefined || decision.action.kind === 'wait') {
        before = undefined;
        await rest(isBrief(decision) ? AGAIN_MS : times.loopMs);
        continue;
      }
      const name = `${decision.rule} ${decision.action.kind}`;
      const isFine = await perform(snapshot, decision);
      if (!isFine || name === before) await sleep(AGAIN_MS);
      if (!isFine) await rest(times.loopMs);
      before = name;
    }
  }
  run().catch(error => deps.failed({ kind: 'exit' }, error));

  return {
    listener: port.listener,
    poke,
    terminate() {
      terminatingSince ??= now();
      poke();
    },
  };
}

const JOBS: ReadonlySet<string> = new Set([
  'start',
  'stop',
  'initialise',
  'base-backup',
  'rewind',
  'restore',
  'checkpoint',
]);

/** §5.3: durable before it is current; high-water marks never fall. */
function localRecord(life: Life, volume: Volume, id: string): LocalRecordFile {
  volume.local ??= {
    shard: 1,
    id,
    incarnation: null,
    systemId: null,
    highWater: { maxGeneration: 0, maxSeq: 0, lastRole: 'none', lastTimeline: 0 },
    promotedTimelines: [],
  };
  const current = (): LocalRecord => volume.local as LocalRecord;
  return {
    current,
    save: change =>
      life.call(1, () => {
        const before = current();
        const marks = change.highWater ?? before.highWater;
        volume.local = {
          ...before,
          ...change,
          highWater: {
            maxGeneration: Math.max(before.highWater.maxGeneration, marks.maxGeneration),
            maxSeq: Math.max(before.highWater.maxSeq, marks.maxSeq),
            lastRole: marks.lastRole,
            lastTimeline: Math.max(before.highWater.lastTimeline, marks.lastTimeline),
          },
        };
      }),
  };
}

/** Before the first look. */
const emptyView: Snapshot['server'] = {
  process: { kind: 'none' },
  directory: { kind: 'none' },
  oldIncarnations: [],
  written: undefined,
  receiverPassword: 'empty',
  answered: undefined,
  unansweredSince: undefined,
  crashedAt: undefined,
  starts: [],
  free: { ratio: 0.5, bytes: 1024 ** 4 },
  drift: undefined,
};
