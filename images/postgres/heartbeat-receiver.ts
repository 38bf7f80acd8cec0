import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import {
  HEARTBEAT_PATH,
  HEARTBEAT_PROTOCOL,
  type HeartbeatAnswerLine,
  type HeartbeatLine,
  heartbeatSchema,
  readLines,
  writeLine,
} from './heartbeat-line.ts';
import type { Heartbeat } from './snapshot.ts';

/** What one peer's heartbeats have shown so far. Times are monotonic milliseconds. */
export interface Heard {
  readonly last: Heartbeat | undefined;
  /** When its connection was reset or closed, unless it was heard since. */
  readonly brokenAt: number | undefined;
}

export interface HeartbeatReceiver {
  /** Takes an upgraded connection of the sitter's port; false: it is none of the receiver's. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  heard(id: string): Heard;
  close(): void;
}

/** Anybody may connect to the port: what is remembered stays small. */
const MAX_SENDERS = 32;

/**
 * The listening side of the heartbeat (replication.md §4.4): answers every line of a peer of this shard and remembers the
 * last. Who is the primary is not its business; the detector asks for the peer it expects. `onChange` is called with the
 * first line of a connection, with one that says something new, and when a connection breaks.
 */
export function createHeartbeatReceiver(
  deps: {
    readonly logger: Logger;
    readonly now: () => number;
    readonly answer: (line: HeartbeatLine) => HeartbeatAnswerLine;
  },
  config: {
    readonly shard: number;
    /** A connection without a line for so long is given up, without calling it broken. */
    readonly idleMs: number;
  },
  onChange: () => void,
): HeartbeatReceiver {
  const { logger, now } = deps;
  const senders = new Map<string, { last: Heartbeat; brokenAt: number | undefined; socket: Socket }>();
  const sockets = new Set<Socket>();

  function serve(socket: Socket, head: Buffer): void {
    let sender: string | undefined;
    let isIdle = false;
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.setTimeout(config.idleMs, () => {
      isIdle = true;
      socket.destroy();
    });
    socket.on('error', error => logger.debug({ err: error, sender }, 'heartbeat connection failed'));
    // A half-closed connection would otherwise wait for its other half.
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      const known = sender === undefined ? undefined : senders.get(sender);
      // A connection that a newer one has replaced says nothing any more.
      if (known === undefined || known.socket !== socket || isIdle) return;
      known.brokenAt = now();
      logger.info({ peer: sender }, 'heartbeat connection closed');
      onChange();
    });
    readLines(socket, head, heartbeatSchema, line => {
      if (line.shard !== config.shard) return void socket.destroy();
      sender = line.id;
      remember(line, socket);
      writeLine(socket, deps.answer(line));
    });
  }

  function remember(line: HeartbeatLine, socket: Socket): void {
    const before = senders.get(line.id);
    senders.delete(line.id);
    senders.set(line.id, { last: { ...line, at: now() }, brokenAt: undefined, socket });
    const [oldest] = senders.keys();
    if (senders.size > MAX_SENDERS && oldest !== undefined) senders.delete(oldest);
    const isNews =
      before === undefined ||
      before.brokenAt !== undefined ||
      before.last.session !== line.session ||
      before.last.generation !== line.generation ||
      before.last.status !== line.status ||
      before.last.terminating !== line.terminating;
    if (isNews) onChange();
  }

  return {
    accept(request, duplex, head) {
      if (request.url !== HEARTBEAT_PATH || request.headers.upgrade !== HEARTBEAT_PROTOCOL) return false;
      // Of a plain HTTP server this is always the TCP socket.
      const socket = duplex as Socket;
      if (sockets.size >= MAX_SENDERS) {
        socket.end('HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n');
        return true;
      }
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${HEARTBEAT_PROTOCOL}\r\n\r\n`);
      serve(socket, head);
      return true;
    },
    heard(id) {
      const known = senders.get(id);
      return { last: known?.last, brokenAt: known?.brokenAt };
    },
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
