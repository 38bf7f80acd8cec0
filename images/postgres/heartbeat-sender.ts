import { request } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { codeOf } from '../../lib/errors/manta-error.ts';
import {
  HEARTBEAT_PATH,
  HEARTBEAT_PROTOCOL,
  type HeartbeatLine,
  heartbeatAnswerSchema,
  readLines,
  writeLine,
} from './heartbeat-line.ts';
import { isRefusal } from './peer-call.ts';
import type { HeartbeatAnswer } from './snapshot.ts';

/** A peer that heartbeats go to. */
export interface HeartbeatTarget {
  readonly id: string;
  /** `http://host:port`. */
  readonly sitterUrl: string;
}

/** What one peer's answers have shown so far. Times are monotonic milliseconds. */
export interface Answers {
  readonly last: HeartbeatAnswer | undefined;
  /** When its connection was refused, reset, closed or answered by somebody else, unless it answered since. */
  readonly brokenAt: number | undefined;
}

export interface HeartbeatSender {
  /** Connects to those that are new and leaves those that are no longer there. */
  setTargets(targets: readonly HeartbeatTarget[]): void;
  answers(id: string): Answers;
  /** Sends a line at once, for news that should not wait. */
  beat(): void;
  close(): void;
}

export interface HeartbeatSenderConfig {
  readonly shard: number;
  readonly heartbeatMs: number;
  /** A connection that answers nothing for so long is replaced, without calling it broken. */
  readonly silenceMs: number;
}

interface SenderDeps {
  readonly logger: Logger;
  readonly now: () => number;
  readonly line: () => HeartbeatLine;
}

/**
 * The speaking side of the heartbeat (replication.md §4.4): one TCP connection to the sitter of each target, a line on it
 * every `heartbeatMs`. `onChange` is called with the first answer of a connection, with one that says something new, and
 * when a connection breaks.
 */
export function createHeartbeatSender(
  deps: SenderDeps,
  config: HeartbeatSenderConfig,
  onChange: () => void,
): HeartbeatSender {
  const links = new Map<string, Link>();
  return {
    setTargets(targets) {
      const wanted = new Map(targets.map(target => [target.id, target]));
      for (const [id, link] of links) {
        if (wanted.get(id)?.sitterUrl === link.sitterUrl) continue;
        link.close();
        links.delete(id);
      }
      for (const target of targets) {
        if (!links.has(target.id)) links.set(target.id, openLink(deps, config, target, onChange));
      }
    },
    answers: id => links.get(id)?.answers() ?? { last: undefined, brokenAt: undefined },
    beat() {
      for (const link of links.values()) link.beat();
    },
    close() {
      for (const link of links.values()) link.close();
      links.clear();
    },
  };
}

interface Link {
  readonly sitterUrl: string;
  answers(): Answers;
  beat(): void;
  close(): void;
}

function openLink(
  { logger, now, line }: SenderDeps,
  config: HeartbeatSenderConfig,
  { id, sitterUrl }: HeartbeatTarget,
  onChange: () => void,
): Link {
  let connection: Connection | undefined;
  let openedAt = 0;
  let last: HeartbeatAnswer | undefined;
  let brokenAt: number | undefined;
  const timer = setInterval(tick, config.heartbeatMs);
  tick();

  function tick(): void {
    const isSilent = now() - Math.max(openedAt, last?.at ?? 0) >= config.silenceMs;
    if (connection !== undefined && isSilent) {
      // After a cut the kernel would go on sending into the old connection, ever more rarely.
      connection.close();
      connection = undefined;
    }
    if (connection === undefined) connect();
    else connection.send(line());
  }

  function connect(): void {
    openedAt = now();
    const opened = openConnection(sitterUrl, {
      onOpen: () => opened.send(line()),
      onAnswer(answer) {
        if (answer.shard !== config.shard || answer.id !== id) {
          opened.close();
          return onEnd('another peer answered', true);
        }
        const isNews = brokenAt !== undefined || last === undefined || saysNews(last, answer);
        last = { ...answer, at: now() };
        brokenAt = undefined;
        if (isNews) onChange();
      },
      onEnd,
    });
    function onEnd(reason: string, isBreak: boolean): void {
      if (connection !== opened) return;
      connection = undefined;
      if (!isBreak) return;
      if (brokenAt === undefined) logger.info({ peer: id, reason }, 'heartbeat connection broken');
      brokenAt ??= now();
      onChange();
    }
    connection = opened;
  }

  return {
    sitterUrl,
    answers: () => ({ last, brokenAt }),
    beat: () => connection?.send(line()),
    close() {
      clearInterval(timer);
      connection?.close();
      connection = undefined;
    },
  };
}

function saysNews(before: HeartbeatAnswer, after: Omit<HeartbeatAnswer, 'at'>): boolean {
  return (
    before.session !== after.session ||
    before.generation !== after.generation ||
    before.incarnation !== after.incarnation ||
    before.health !== after.health ||
    before.terminating !== after.terminating ||
    before.ready !== after.ready
  );
}

interface Connection {
  send(line: HeartbeatLine): void;
  /** Without `onEnd`. */
  close(): void;
}

interface ConnectionEvents {
  onOpen(): void;
  onAnswer(answer: Omit<HeartbeatAnswer, 'at'>): void;
  /** Once, and never before `openConnection` has returned. `isBreak`: it tells of the other side's end, not only of ours. */
  onEnd(reason: string, isBreak: boolean): void;
}

function openConnection(sitterUrl: string, events: ConnectionEvents): Connection {
  let socket: Socket | undefined;
  let isOver = false;
  const call = request(`${sitterUrl}${HEARTBEAT_PATH}`, {
    agent: false,
    headers: { connection: 'Upgrade', upgrade: HEARTBEAT_PROTOCOL },
  });
  const end = (reason: string, isBreak: boolean) => {
    if (isOver) return;
    isOver = true;
    events.onEnd(reason, isBreak);
  };
  call.on('error', error => end(codeOf(error) ?? error.message, isRefusal(error)));
  call.on('response', response => {
    response.destroy();
    end(`answered ${response.statusCode}`, true);
  });
  call.on('upgrade', (_response, upgraded: Socket, head) => {
    if (isOver) return void upgraded.destroy();
    socket = upgraded;
    upgraded.setNoDelay(true);
    upgraded.on('error', () => {});
    upgraded.on('end', () => upgraded.destroy());
    upgraded.on('close', () => end('closed', true));
    readLines(upgraded, head, heartbeatAnswerSchema, line => {
      if (!isOver) events.onAnswer(line);
    });
    events.onOpen();
  });
  call.end();
  return {
    send: line => {
      if (socket?.writable === true) writeLine(socket, line);
    },
    close() {
      isOver = true;
      call.destroy();
      socket?.destroy();
    },
  };
}
