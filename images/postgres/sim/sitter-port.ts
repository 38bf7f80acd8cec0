import type { DetectorDeps } from '../detector.ts';
import type { HeartbeatAnswerLine, HeartbeatLine } from '../heartbeat-line.ts';
import type { Heard } from '../heartbeat-receiver.ts';
import type { HeartbeatTarget } from '../heartbeat-sender.ts';
import type { ProbeTarget } from '../prober.ts';
import type { Heartbeat, HeartbeatAnswer } from '../snapshot.ts';
import { derivedTimes, type Times } from '../times.ts';
import type { PrimaryEvidence } from '../verdict.ts';
import type { Connection, Network } from './network.ts';
import type { Life } from './scheduler.ts';

/** Who answers at a sitter's port. */
export interface Listener {
  readonly life: Life;
  accept(connection: Connection): void;
  ping(): { readonly shard: number; readonly id: string; readonly incarnation: string | null };
  silentForMs(primary: string): number;
}

/** What the parts of a sitter's port need of the world. */
export interface SitterPortDeps {
  readonly id: string;
  readonly life: Life;
  readonly network: Network;
  /** The host that has the address of a sitter's URL now. */
  hostOf(sitterUrl: string): string;
  listenerAt(host: string): Listener | undefined;
  line(n: number): HeartbeatLine;
  answer(line: HeartbeatLine): HeartbeatAnswerLine;
  identity(): { readonly shard: number; readonly id: string; readonly incarnation: string | null };
  onChange(): void;
}

interface Speaking {
  readonly sitterUrl: string;
  connection: Connection | undefined;
  openedAt: number;
  last: HeartbeatAnswer | undefined;
  brokenAt: number | undefined;
}

const ENOUGH_REFUSALS = 2;

/**
 * Heartbeats, probes and questions between sitters as messages of the simulated network (replication.md §4.4): the parts
 * that the production detector directs. A refusal comes only from a host that can be reached and where nobody listens.
 */
export function createSitterPort(
  deps: SitterPortDeps,
  times: Times,
): { readonly parts: DetectorDeps; readonly listener: Listener } {
  const { life, network, id } = deps;
  const speaking = new Map<string, Speaking>();
  const listening = new Map<string, { last: Heartbeat; brokenAt: number | undefined; connection: Connection }>();
  let sent = 0;

  function open(target: Speaking): void {
    const host = deps.hostOf(target.sitterUrl);
    const connection = network.connect(id, host);
    life.whenOver(() => connection.close(0));
    target.connection = connection;
    target.openedAt = life.now();
    connection.ends[0].onClosed = () =>
      life.run(() => {
        if (target.connection !== connection) return;
        target.connection = undefined;
        target.brokenAt ??= life.now();
        deps.onChange();
      });
    connection.ends[0].onMessage = message =>
      life.run(() => {
        const isNews = target.brokenAt !== undefined || target.last === undefined;
        target.last = { ...(message as HeartbeatAnswerLine), at: life.now() };
        target.brokenAt = undefined;
        if (isNews) deps.onChange();
      });
    connection.ends[1].onMessage = message => {
      const listener = deps.listenerAt(host);
      if (listener === undefined || listener.life.isOver) return connection.close(1);
      listener.accept(connection);
      connection.ends[1].onMessage(message);
    };
  }

  function beat(): void {
    const { silenceMs } = derivedTimes(times);
    for (const target of speaking.values()) {
      if (target.connection !== undefined && life.now() - Math.max(target.openedAt, target.last?.at ?? 0) > silenceMs) {
        target.connection.close(0);
        target.connection = undefined;
      }
      if (target.connection === undefined) open(target);
      sent += 1;
      target.connection?.send(0, deps.line(sent));
    }
    life.after(times.heartbeatMs, beat);
  }
  beat();

  const parts: DetectorDeps = {
    receiver: {
      heard: (peer): Heard => ({ last: listening.get(peer)?.last, brokenAt: listening.get(peer)?.brokenAt }),
    },
    sender: {
      setTargets(targets: readonly HeartbeatTarget[]) {
        for (const [peer, target] of speaking) {
          if (targets.some(({ id, sitterUrl }) => id === peer && sitterUrl === target.sitterUrl)) continue;
          target.connection?.close(0);
          speaking.delete(peer);
        }
        for (const { id, sitterUrl } of targets) {
          if (speaking.has(id)) continue;
          speaking.set(id, { sitterUrl, connection: undefined, openedAt: 0, last: undefined, brokenAt: undefined });
        }
      },
      answers: peer => ({ last: speaking.get(peer)?.last, brokenAt: speaking.get(peer)?.brokenAt }),
    },
    prober: createProber(deps, times),
    hearsay: createHearsay(deps, times),
  };

  return {
    parts,
    listener: {
      life,
      accept(connection) {
        let speaker: string | undefined;
        connection.ends[1].onMessage = message =>
          life.run(() => {
            const line = message as HeartbeatLine;
            speaker = line.id;
            const before = listening.get(line.id);
            listening.set(line.id, { last: { ...line, at: life.now() }, brokenAt: undefined, connection });
            connection.send(1, deps.answer(line));
            if (before?.last.status !== line.status || before.brokenAt !== undefined) deps.onChange();
          });
        connection.ends[1].onClosed = () =>
          life.run(() => {
            const known = speaker === undefined ? undefined : listening.get(speaker);
            if (known?.connection !== connection) return;
            known.brokenAt = life.now();
            deps.onChange();
          });
        life.whenOver(() => connection.close(1));
      },
      ping: deps.identity,
      silentForMs: primary => life.now() - (listening.get(primary)?.last.at ?? 0),
    },
  };
}

type Reply<Body> = { readonly kind: 'answered'; readonly body: Body } | { readonly kind: 'refused' | 'silent' };

/** Asks the listener at an address; what it says is of the moment the question arrives. */
function ask<Body>(
  { id, life, network, hostOf, listenerAt }: SitterPortDeps,
  sitterUrl: string,
  deadlineMs: number,
  question: (listener: Listener) => Body,
  answered: (reply: Reply<Body>) => void,
): void {
  const host = hostOf(sitterUrl);
  let isOver = false;
  const finish = (reply: Reply<Body>) =>
    life.run(() => {
      if (isOver) return;
      isOver = true;
      answered(reply);
    });
  network.send(id, host, () => {
    const listener = listenerAt(host);
    if (listener === undefined || listener.life.isOver) {
      network.send(host, id, () => finish({ kind: 'refused' }));
    } else {
      listener.life.run(() => {
        const body = question(listener);
        network.send(host, id, () => finish({ kind: 'answered', body }));
      });
    }
  });
  life.after(deadlineMs, () => finish({ kind: 'silent' }));
}

function createProber(deps: SitterPortDeps, times: Times): DetectorDeps['prober'] {
  let watched: { readonly key: string; refusals: number } | undefined;

  function probe(target: ProbeTarget, run: NonNullable<typeof watched>): void {
    ask(
      deps,
      target.sitterUrl,
      times.probeDeadlineMs,
      listener => listener.ping(),
      reply => {
        if (watched !== run) return;
        const before = run.refusals;
        const isOther =
          reply.kind === 'answered' &&
          (reply.body.id !== target.id || (target.incarnation ?? reply.body.incarnation) !== reply.body.incarnation);
        const isRefused = reply.kind === 'refused' || isOther;
        run.refusals = isRefused ? before + 1 : 0;
        const isUrgent = isRefused && run.refusals < ENOUGH_REFUSALS;
        deps.life.after(isUrgent ? times.probeEveryMs : times.heartbeatMs, () => {
          if (watched === run) probe(target, run);
        });
        if (run.refusals !== before) deps.onChange();
      },
    );
  }

  return {
    watch(target) {
      const key = target === undefined ? undefined : JSON.stringify([target.id, target.incarnation, target.sitterUrl]);
      if (watched?.key === key) return;
      watched = key === undefined ? undefined : { key, refusals: 0 };
      if (target !== undefined && watched !== undefined) probe(target, watched);
    },
    refusals: () => watched?.refusals ?? 0,
    close: () => {
      watched = undefined;
    },
  };
}

function createHearsay(deps: SitterPortDeps, times: Times): DetectorDeps['hearsay'] {
  let asked: { readonly key: string; last: PrimaryEvidence['neighbour'] } | undefined;

  function question(
    neighbour: { id: string; sitterUrl: string },
    primary: string,
    run: NonNullable<typeof asked>,
  ): void {
    const askedAt = deps.life.now();
    ask(
      deps,
      neighbour.sitterUrl,
      times.probeDeadlineMs,
      listener => ({ id: listener.ping().id, silentForMs: listener.silentForMs(primary) }),
      reply => {
        if (asked !== run) return;
        const isTheirs = reply.kind === 'answered' && reply.body.id === neighbour.id;
        run.last = { askedAt, silentForMs: isTheirs ? reply.body.silentForMs : null };
        deps.life.after(times.heartbeatMs, () => {
          if (asked === run) question(neighbour, primary, run);
        });
        deps.onChange();
      },
    );
  }

  return {
    ask(neighbour, primary) {
      const key = neighbour === undefined ? undefined : JSON.stringify([neighbour.id, neighbour.sitterUrl, primary]);
      if (asked?.key === key) return;
      asked = key === undefined ? undefined : { key, last: undefined };
      if (neighbour !== undefined && asked !== undefined) question(neighbour, primary, asked);
    },
    last: () => asked?.last,
    close: () => {
      asked = undefined;
    },
  };
}
