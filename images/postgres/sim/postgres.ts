import { MantaError } from '../../../lib/errors/manta-error.ts';
import { type Lsn, lsn } from '../../../lib/shard/lsn.ts';
import type { Endpoint, InForce, Positions, Sender, Server, ServerView, Settings, StopMode } from '../server.ts';
import { Instance, type Machine } from './instance.ts';
import { createLook } from './look.ts';
import type { Life } from './scheduler.ts';
import { createDirectory, type Directory } from './volume.ts';
import { forkOf } from './wal.ts';

const QUERY_DEADLINE_MS = 1_000;
const STOP_FAST_MS = 20_000;
const STOP_IMMEDIATE_MS = 10_000;

/** A peer's PostgreSQL: what the sitter sees of it through `Server`, and what faults do to it. */
export interface ModelServer extends Server {
  readonly machine: Machine;
  instance(): Instance | undefined;
  /** PostgreSQL alone ends unasked. With orphans busy backends live on for a while. */
  crash(withOrphans: boolean): void;
  /** The container ends: every process, at once. */
  kill(): void;
}

/** The model behind the port, for one life of the sitter. */
export function createModelServer(machine: Machine, life: Life, pgMajor: number): ModelServer {
  const { random, volume, files, witness } = machine;
  let instance: Instance | undefined;
  let crashedAt: number | undefined;
  let stopping = false;
  const starts: number[] = [];
  const look = createLook(life, machine.clock);

  const offline = (why: string) => new MantaError('PostgresOffline', why);

  /** A question to one of the server's processes; the answer waits for whoever is frozen. */
  function ask<Value>(
    compute: (found: Instance) => Value,
    process: (found: Instance) => Life = found => found.backends,
  ): Promise<Value> {
    const found = instance;
    if (found === undefined || found.phase === 'ended' || found.phase === 'remains') return reject('it does not run');
    return life.promise(settle => {
      const ended = () => settle.reject(offline('it ended'));
      found.onEnd.add(ended);
      process(found).after(random.between(0.2, 1.2), () => {
        found.onEnd.delete(ended);
        try {
          settle.resolve(compute(found));
        } catch (error) {
          settle.reject(error);
        }
      });
      life.after(QUERY_DEADLINE_MS, () => settle.reject(offline('no answer within the deadline')));
    });
  }

  function reject(why: string): Promise<never> {
    return life.call(0.1, () => {
      throw offline(why);
    });
  }

  function current(): Directory {
    const directory = volume.current;
    if (directory === undefined) throw offline('there is no data directory');
    return directory;
  }

  function crash(withOrphans: boolean): void {
    const found = instance;
    if (found === undefined || found.phase === 'ended') return;
    crashedAt = life.now();
    witness.note(machine.id, `postgres crashed${withOrphans ? ', backends remain' : ''}`);
    if (!withOrphans) {
      found.end();
      return;
    }
    found.orphan();
    machine.scheduler.after(random.between(200, 3_600), () => found.end());
  }

  /** Something that takes time and may be aborted. */
  function takes(ms: number, signal: AbortSignal, steps: number, step: (part: number) => void): Promise<void> {
    return life.promise(settle => {
      signal.addEventListener('abort', () => settle.reject(offline('aborted')));
      let done = 0;
      const next = () =>
        life.after(ms / steps, () => {
          if (signal.aborted) return;
          done += 1;
          try {
            step(done / steps);
          } catch (error) {
            settle.reject(error);
            return;
          }
          if (done < steps) next();
          else settle.resolve(undefined);
        });
      next();
    });
  }

  /** The running server at an address, if it can be reached both ways. */
  function reach(from: Endpoint): Instance {
    const host = machine.peerAt(from.host);
    const found = machine.instanceAt(host);
    const isOpen = machine.network.isOpen(machine.id, host) && machine.network.isOpen(host, machine.id);
    if (!isOpen || found?.phase !== 'up' || found.postmaster.isPaused) throw offline(`${from.id} cannot be reached`);
    return found;
  }

  /** Before anything is begun. */
  function greet(from: Endpoint): Instance {
    try {
      return reach(from);
    } catch {
      throw new MantaError('SourceUnreachable', `${from.id} cannot be reached`);
    }
  }

  function newDirectory(systemId: string): Directory {
    const directory = createDirectory(`i${random.int(1e9).toString(36)}`, systemId);
    volume.directories.push(directory);
    return directory;
  }

  function stop(mode: StopMode, signal: AbortSignal): Promise<void> {
    const found = instance;
    if (found === undefined || found.phase === 'ended') return life.call(5, () => {});
    stopping = true;
    return life.promise(settle => {
      const ended = () => {
        stopping = false;
        settle.resolve(undefined);
      };
      found.onEnd.add(ended);
      signal.addEventListener('abort', () => settle.reject(offline('aborted')));
      const kill = () => life.after(random.between(5, 30), () => found.end());
      const immediate = () => {
        found.postmaster.after(random.between(5, 40), () => found.end());
        life.after(STOP_IMMEDIATE_MS, kill);
      };
      if (mode === 'kill' || found.phase === 'remains') kill();
      else if (mode === 'immediate') immediate();
      else {
        found.stopFast(() => {});
        life.after(STOP_FAST_MS, immediate);
      }
    });
  }

  const disk = <Value>(compute: () => Value) => life.call(random.between(0.2, 2), compute);

  return {
    machine,
    instance: () => (instance?.phase === 'ended' ? undefined : instance),
    crash,
    kill: () => instance?.end(),

    observe: () =>
      life.call(random.between(0.2, 1), (): ServerView => {
        const running = instance?.phase === 'ended' ? undefined : instance;
        return look.view({ running, stopping, crashedAt, starts, volume, files, pgMajor });
      }),
    writeSettings: settings =>
      disk(() => {
        files.settings = settings;
      }),
    reload: () => ask(found => found.reload()),
    inForce: () =>
      ask(
        ({ postmasterSettings: { ssn, readOnly } }): InForce => ({ ssn, readOnly, errors: 0 }),
        found => found.postmaster,
      ),
    senders: () => ask(found => [...found.senders].map(senderRow)),
    terminate: pid => ask(found => found.terminate(pid)),
    terminateClients: () =>
      ask(found => {
        const sessions = [...found.sessions];
        for (const session of sessions) session.end();
        return sessions.length;
      }),
    openTransactions: () => ask(found => [...found.sessions].filter(session => session.hasTransaction).length),
    writeReceiverPassword: content =>
      disk(() => {
        files.password = content;
      }),
    // Nobody pauses replay here; what freezes the startup process is no call of an operator's.
    resumeReplay: () => ask(() => {}),
    receivers: () =>
      ask(found =>
        [...found.receivers].filter(receiver => receiver.isListed).map(({ pid, startedAt }) => ({ pid, startedAt })),
      ),
    positions: () => ask(positionsOf),
    hasRecordAt: (_, position) => disk(() => current().wal.recordAt(Number(position)) !== undefined),
    placePlaceholders: reserved =>
      disk(() => {
        const { wal } = current();
        for (let timeline = wal.timeline + 1; timeline < reserved; timeline += 1) {
          if (!wal.histories.has(timeline)) {
            wal.histories.set(timeline, { timeline, ancestry: [], isPlaceholder: true });
          }
        }
      }),
    promote: () => ask(found => found.promote()),
    checkpoint: async () => {
      await life.sleep(random.between(20, 300));
      await ask(found => {
        found.insert('checkpoint', 120, undefined, () => {});
        found.directory.checkpointTimeline = found.directory.wal.timeline;
      });
    },
    createDatabases: () => ask(() => false),
    createRoles: () => ask(() => {}),
    tryLogin: () =>
      life.promise(settle => {
        const found = instance;
        if (found === undefined) return settle.reject(offline('it does not run'));
        found.login(session => {
          if (session === undefined) settle.reject(offline('the login was rejected'));
          else settle.resolve(undefined);
          session?.end();
        });
        life.after(QUERY_DEADLINE_MS, () => settle.reject(offline('no answer within the deadline')));
      }),
    keepSlots: () => ask(() => {}),

    start(signal) {
      const { settings } = files;
      if (settings === undefined) return reject('no settings');
      const directory = current();
      if (directory.isDamaged) return reject('the directory is damaged');
      starts.push(life.now());
      const started = new Instance(machine, directory, settings);
      instance = started;
      started.crashed = () => crash(false);
      return life.promise(settle => {
        const failed = () => settle.reject(offline('it ended while starting'));
        started.onEnd.add(failed);
        signal.addEventListener('abort', () => settle.reject(offline('aborted')));
        started.start(() => settle.resolve(undefined));
      });
    },
    stop,

    async initialise(signal) {
      const directory = createDirectory(`i${random.int(1e9).toString(36)}`, `system-${random.int(1e9)}`);
      await takes(random.between(300, 1_500), signal, 1, () => {
        directory.wal.append('checkpoint', 120);
        directory.wal.flushed = directory.wal.insertAt;
        directory.state = 'shut down';
        volume.directories.push(directory);
      });
      return directory.incarnation;
    },
    async baseBackup(from, signal, onProgress) {
      let made: Directory | undefined;
      greet(from);
      await takes(random.between(300, 3_000), signal, 4, part => {
        const source = reach(from);
        if (volume.isFull) throw offline('no space left');
        onProgress(part);
        if (part < 1) return;
        made = newDirectory(source.directory.systemId);
        made.wal.copyFrom(source.directory.wal);
        made.state = 'in recovery';
        made.checkpointTimeline = source.directory.checkpointTimeline;
        made.minRecovery = made.wal.completeEnd;
      });
      if (made === undefined) throw offline('the base backup made nothing');
      return made.incarnation;
    },
    async rewind(from, signal) {
      const target = current();
      const source = greet(from);
      if (source.inRecovery) throw offline('pg_rewind needs a primary');
      endInOrder(machine, target);
      const fork = forkOf(target.wal, source.directory.wal);
      const isMisjudged = misjudges(machine.fooledRewind, target, source.directory);
      if (isMisjudged || fork === undefined || target.wal.completeEnd <= fork) {
        await life.sleep(50);
        target.isToFollow = true;
        return;
      }
      target.isDamaged = true;
      await takes(random.between(100, 1_000), signal, 2, part => {
        const { wal } = reach(from).directory;
        if (part < 1) return;
        target.wal.copyFrom(wal);
        target.state = 'in recovery';
        target.isToFollow = true;
        target.checkpointTimeline = wal.timeline;
        target.minRecovery = target.wal.completeEnd;
        target.isDamaged = false;
        witness.lost(machine.id, 'rewound');
      });
    },
    restore: () => reject('there is no backup in this world'),
    removeOldIncarnations: () =>
      disk(() => {
        volume.directories = volume.directories.filter(directory => directory === volume.current);
        witness.lost(machine.id, 'old incarnations removed');
      }),
  };
}

/** pg_rewind lets a server that had not been shut down recover first, which writes a checkpoint of its own. */
function endInOrder({ id, witness }: Machine, target: Directory): void {
  if (target.state.startsWith('shut down')) return;
  target.wal.dropPartialTail();
  const record = target.wal.append('shutdown', 120);
  target.wal.flushed = target.wal.insertAt;
  target.state = 'shut down';
  witness.written(id, record);
}

/**
 * "No rewind required": of two servers whose control files show one timeline (C8), which before version 16 includes a
 * source that was promoted and has not made a checkpoint since (C10).
 */
function misjudges(isFooled: boolean, target: Directory, source: Directory): boolean {
  const shown = isFooled ? source.checkpointTimeline : source.wal.timeline;
  return shown === target.wal.timeline;
}

export function position(bytes: number): Lsn {
  return lsn(BigInt(bytes));
}

export function positionsOf({ inRecovery, directory, received, replayed }: Instance): Positions {
  return {
    inRecovery,
    timeline: directory.wal.timeline,
    flushed: inRecovery ? undefined : position(directory.wal.flushed),
    received: inRecovery && received !== undefined ? position(received) : undefined,
    replayed: inRecovery ? position(replayed) : undefined,
  };
}

export function senderRow(sender: {
  readonly pid: number;
  readonly name: string;
  readonly state: string;
  readonly priority: number;
  readonly sent: number;
  readonly flushed: number | undefined;
  readonly replayed: number | undefined;
  readonly replies: number;
}): Sender {
  const { pid, name, state, priority, sent, flushed, replayed, replies } = sender;
  return {
    pid,
    name,
    state,
    priority,
    sent: position(sent),
    flushed: flushed === undefined ? undefined : position(flushed),
    replayed: replayed === undefined ? undefined : position(replayed),
    replyTime: replies === 0 ? undefined : String(replies),
  };
}

/** Settings by which a model is written down in messages. */
export function describe({ role, ssn, gate, readOnly, upstream }: Settings): string {
  return `${role} ssn=${ssn.join('+')} ${gate}${readOnly ? ' read-only' : ''} upstream=${upstream?.id ?? '-'}`;
}
