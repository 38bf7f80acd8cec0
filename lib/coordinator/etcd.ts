import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { MantaError } from '../errors/manta-error.ts';
import type { Clock } from '../lifecycle/clock.ts';
import type { CommitOutcome, Comparison, Coordinator, KeyValue, Operation, Subscription } from './coordinator.ts';
import { createEtcdEndpoint, type EtcdEndpoint, type EtcdTls } from './etcd-endpoint.ts';
import type { EtcdCredentials } from './etcd-token.ts';
import type { Reply } from './reply.ts';
import { refuseRepeats } from './store.ts';

export interface EtcdConfig {
  /** URLs of the members: `http://host:port`, or all of them https. */
  readonly endpoints: readonly string[];
  /** Milliseconds for one call at one endpoint. Default 300. */
  readonly deadlineMs?: number;
  readonly credentials?: EtcdCredentials;
  readonly tls?: EtcdTls;
}

interface RangeResponse {
  readonly header: { readonly revision: string };
  readonly kvs: readonly {
    readonly key: Buffer;
    readonly value: Buffer;
    readonly create_revision: string;
    readonly mod_revision: string;
    readonly lease: string;
  }[];
}

/** Between two attempts to watch, at different endpoints where there are several. */
const WATCH_AGAIN_MS = 100;

/** A coordinator over etcd's members, each with a connection of its own. Connects with the first call. */
export function createEtcdCoordinator(deps: { logger: Logger; clock: Clock }, config: EtcdConfig): Coordinator {
  const { deadlineMs = 300, credentials, tls } = config;
  if (config.endpoints.length === 0) throw new RangeError('etcd needs an endpoint');
  const endpoints = config.endpoints.map(url =>
    createEtcdEndpoint(deps, {
      url,
      deadlineMs,
      ...(credentials === undefined ? {} : { credentials }),
      ...(tls === undefined ? {} : { tls }),
    }),
  );
  const watches = new Set<Subscription>();
  /** The endpoint that answered last; the next one after it has failed. */
  let preferred = 0;

  /**
   * The first answer or refusal, going round once. With `once` an endpoint that took the request and fell silent ends the
   * round, too.
   */
  async function ask<T>(
    send: (endpoint: EtcdEndpoint) => Promise<Reply<T>>,
    signal: AbortSignal | undefined,
    once = false,
  ): Promise<Reply<T>> {
    const first = preferred;
    const gaveUp = () => signal?.aborted === true;
    const failures: string[] = [];
    for (let step = 0; step < endpoints.length && !gaveUp(); step += 1) {
      const index = (first + step) % endpoints.length;
      const endpoint = endpoints[index] as EtcdEndpoint;
      const reply = await send(endpoint);
      if (reply.kind === 'answered' || reply.kind === 'refused') {
        preferred = index;
        return reply;
      }
      // Unless it was the caller who gave up.
      if (!gaveUp() && preferred === index) preferred = (index + 1) % endpoints.length;
      failures.push(`${endpoint.url}: ${reply.message}`);
      if (once && reply.kind === 'unanswered') return reply;
    }
    return { kind: 'unsent', message: failures.join('; ') || 'the caller gave up' };
  }

  async function demand<T>(
    send: (endpoint: EtcdEndpoint) => Promise<Reply<T>>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const reply = await ask(send, signal);
    if (reply.kind === 'answered') return reply.value;
    throw new MantaError('CoordinatorUnavailable', `etcd: ${reply.message}`, { cause: signal?.reason });
  }

  return {
    async read(prefix, { signal } = {}) {
      let sentAt = 0;
      const response = await demand(endpoint => {
        sentAt = deps.clock.monotonic();
        return endpoint.call<RangeResponse>('KV', 'range', rangeOf(prefix), signal);
      }, signal);
      return { revision: Number(response.header.revision), entries: response.kvs.map(entryOf), sentAt };
    },

    async commit({ compare, operations }, { signal } = {}): Promise<CommitOutcome> {
      refuseRepeats(operations);
      const request = { compare: compare.map(compareOf), success: operations.map(requestOf), failure: [] };
      type TxnResponse = { readonly succeeded: boolean; readonly header: { readonly revision: string } };
      const reply = await ask(endpoint => endpoint.call<TxnResponse>('KV', 'txn', request, signal), signal, true);
      switch (reply.kind) {
        case 'answered':
          if (!reply.value.succeeded) return { kind: 'conflict' };
          return { kind: 'committed', revision: Number(reply.value.header.revision) };
        case 'refused':
          if (isLeaseGone(reply)) return { kind: 'conflict' };
          return { kind: 'unavailable', message: reply.message };
        case 'unanswered':
          return { kind: 'unknown', message: reply.message };
        case 'unsent':
          return { kind: 'unavailable', message: reply.message };
      }
    },

    async grantLease(ttlMs, { signal } = {}) {
      type Granted = { readonly ID: string; readonly TTL: string };
      const request = { TTL: String(Math.ceil(ttlMs / 1_000)) };
      const granted = await demand(endpoint => endpoint.call<Granted>('Lease', 'leaseGrant', request, signal), signal);
      return { lease: granted.ID, ttlMs: Number(granted.TTL) * 1_000 };
    },

    async renewLease(lease, { signal } = {}) {
      const { TTL } = await demand(endpoint => endpoint.keepAlive(lease, signal), signal);
      return TTL !== '0';
    },

    async revokeLease(lease, { signal } = {}) {
      const reply = await ask(endpoint => endpoint.call('Lease', 'leaseRevoke', { ID: lease }, signal), signal);
      if (reply.kind === 'answered' || isLeaseGone(reply)) return;
      throw new MantaError('CoordinatorUnavailable', `etcd: ${reply.message}`);
    },

    watch(prefix, changed) {
      const closing = new AbortController();
      void keepWatching(prefix, changed, closing.signal);
      const subscription = {
        close() {
          closing.abort();
          watches.delete(subscription);
        },
      };
      watches.add(subscription);
      return subscription;
    },

    async close() {
      for (const subscription of [...watches]) subscription.close();
      for (const endpoint of endpoints) endpoint.close();
    },
  };

  /** A new stream whenever one ends, for whatever reason: a hint needs no place to resume from. */
  async function keepWatching(prefix: string, changed: () => void, closing: AbortSignal): Promise<void> {
    let index = preferred;
    while (!closing.aborted) {
      let accepted = false;
      const stream = (endpoints[index] as EtcdEndpoint).watch({ create_request: rangeOf(prefix) }, () => {
        accepted = true;
        if (!closing.aborted) changed();
      });
      const onClose = () => stream.close();
      closing.addEventListener('abort', onClose);
      const reason = await stream.ended;
      closing.removeEventListener('abort', onClose);
      if (closing.aborted) return;
      if (accepted) {
        deps.logger.info({ endpoint: endpoints[index]?.url, reason }, 'etcd watch lost');
        changed();
      }
      index = (index + 1) % endpoints.length;
      await sleep(WATCH_AGAIN_MS, undefined, { signal: closing }).catch(() => {});
    }
  }
}

function isLeaseGone(reply: Reply<unknown>): boolean {
  return reply.kind === 'refused' && reply.message.includes('requested lease not found');
}

/** Every key that begins with the prefix. A zero byte stands for the first of all keys, and for no end. */
function rangeOf(prefix: string): { key: Buffer; range_end: Buffer } {
  const key = Buffer.from(prefix);
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  // In UTF-8 no byte is 0xff, so that one more never overflows.
  if (last < 0) return { key: Buffer.from([0]), range_end: Buffer.from([0]) };
  end[last] = (end[last] as number) + 1;
  return { key, range_end: end };
}

function entryOf(found: RangeResponse['kvs'][number]): KeyValue {
  return {
    key: found.key.toString(),
    value: found.value.toString(),
    createRevision: Number(found.create_revision),
    modRevision: Number(found.mod_revision),
    ...(found.lease === '0' ? {} : { lease: found.lease }),
  };
}

function compareOf(comparison: Comparison): object {
  const key = Buffer.from(comparison.key);
  if ('is' in comparison) return { key, result: 'Equal', target: 'Create', create_revision: '0' };
  if ('modRevision' in comparison)
    return { key, result: 'Equal', target: 'Mod', mod_revision: String(comparison.modRevision) };
  return { key, result: 'Equal', target: 'Create', create_revision: String(comparison.createRevision) };
}

function requestOf(operation: Operation): object {
  if ('delete' in operation) return { request_delete_range: { key: Buffer.from(operation.delete) } };
  const { put, value, lease = '0' } = operation;
  return { request_put: { key: Buffer.from(put), value: Buffer.from(value), lease } };
}
