import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from 'pino';
import { assertHome } from './home-check.ts';
import { type ConnectionTarget, type DatabaseTarget, type Home, isMoving } from './moving-target.ts';

/** Bounds of one listener. */
export interface ListenerConfig {
  /** Name of the notification channel: a plain identifier. */
  readonly channel: string;
  /** Milliseconds between two questions to an idle server, and for its answer, after which the connection is given up. */
  readonly heartbeatMs: number;
  /** Milliseconds for establishing a connection. */
  readonly connectMs: number;
  /** Milliseconds before the next attempt: the first, doubled on every failure up to the last, half of it at random. */
  readonly retryMs: { readonly first: number; readonly last: number };
}

/** A dead server is noticed within two heartbeats, a new one within a second. */
export const listenerDefaults: Omit<ListenerConfig, 'channel'> = {
  heartbeatMs: 5_000,
  connectMs: 2_000,
  retryMs: { first: 50, last: 1_000 },
};

/** What a listener tells. None of these may throw. */
export interface ListenerEvents {
  notified(payload: string): void;
  /** From now on every notification arrives. What was sent before may have been missed. */
  connected(): void;
  /** The server has just answered. */
  alive(): void;
  /** Notifications are being missed. Follows every `connected` once, also the last one at `close`. */
  lost(): void;
}

/** A connection that listens, as its owner sees it. */
export interface Listener {
  isConnected(): boolean;
  /** Ends the connection and the attempts to make one. Idempotent. */
  close(): Promise<void>;
}

/**
 * Holds one connection that LISTENs, and makes a new one whenever it breaks or falls silent, for as long as it is not
 * closed. A primary that moves is followed: the connection to one that is superseded is ended at once.
 */
export function createListener(
  deps: { readonly logger: Logger; readonly random: () => number },
  target: DatabaseTarget,
  config: ListenerConfig,
  events: ListenerEvents,
): Listener {
  const stopping = new AbortController();
  let connected = false;
  let retryMs = config.retryMs.first;

  async function whereTo(): Promise<Home | undefined> {
    return isMoving(target) ? target.room.enter(() => target.home(), stopping.signal) : undefined;
  }

  /** One connection's life; always ends by throwing why. */
  async function hold(): Promise<void> {
    const home = await whereTo();
    stopping.signal.throwIfAborted();
    // A socket of our own, because `end` waits for the server's goodbye and a server that is away never says it.
    const socket = new Socket();
    const client = new pg.Client({
      application_name: 'manta-listener',
      keepAlive: true,
      ...(home?.connection ?? (target as ConnectionTarget))(),
      stream: () => socket,
      connectionTimeoutMillis: config.connectMs,
      query_timeout: config.heartbeatMs,
    });
    const { promise: broken, reject: breakOff } = Promise.withResolvers<never>();
    broken.catch(() => {});
    const stop = () => breakOff(new Error('the listener is closed'));
    client.on('error', breakOff);
    client.on('end', () => breakOff(new Error('the server closed the connection')));
    client.on('notification', message => events.notified(message.payload ?? ''));
    stopping.signal.addEventListener('abort', stop, { once: true });
    const stopFollowing = isMoving(target)
      ? target.onMove(current => {
          if (current !== home) breakOff(new Error('another server is the primary now'));
        })
      : () => {};
    try {
      await Promise.race([client.connect(), broken]);
      if (home !== undefined) await Promise.race([assertHome(client, home, config.heartbeatMs), broken]);
      await Promise.race([client.query(`LISTEN ${client.escapeIdentifier(config.channel)}`), broken]);
      connected = true;
      retryMs = config.retryMs.first;
      events.connected();
      for (;;) {
        await Promise.race([sleep(config.heartbeatMs, undefined, { signal: stopping.signal, ref: false }), broken]);
        await Promise.race([client.query('SELECT 1'), broken]);
        events.alive();
      }
    } finally {
      stopping.signal.removeEventListener('abort', stop);
      stopFollowing();
      if (connected) {
        connected = false;
        if (!stopping.signal.aborted) deps.logger.warn({ channel: config.channel }, 'listening connection lost');
        events.lost();
      }
      socket.destroy();
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await hold().catch(error => {
        // Losing it is logged where it happens; this is every failed attempt to get it back.
        if (!stopping.signal.aborted) deps.logger.debug({ channel: config.channel, err: error }, 'not listening');
      });
      const waitMs = retryMs * (0.5 + deps.random() / 2);
      await sleep(waitMs, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
      retryMs = Math.min(retryMs * 2, config.retryMs.last);
    }
  }

  const running = run();
  return {
    isConnected: () => connected,
    close: async () => {
      stopping.abort();
      await running;
    },
  };
}
