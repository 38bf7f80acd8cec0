import { isIP } from 'node:net';
import {
  type ClientDuplexStream,
  connectivityState,
  type Client as GrpcClient,
  type Metadata,
  status,
} from '@grpc/grpc-js';
import { Etcd3, type Services } from 'etcd3';
import type { Clock } from '../lifecycle/clock.ts';
import { createEtcdToken, type EtcdCredentials, isStale } from './etcd-token.ts';
import type { Reply } from './reply.ts';

/** TLS files in PEM form. Without `cert` and `key` the client shows no certificate. */
export interface EtcdTls {
  readonly root: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** A name in the members' certificates, where it is not that of the URL. An URL with an address needs it. */
  readonly serverName?: string;
}

export interface EtcdEndpointConfig {
  /** `http://host:port` or `https://host:port`. */
  readonly url: string;
  /** Milliseconds for one call, connecting included. */
  readonly deadlineMs: number;
  readonly credentials?: EtcdCredentials;
  readonly tls?: EtcdTls;
}

/** A watch stream that etcd has accepted, or not. */
export interface WatchStream {
  /** Resolves with the reason once the stream has ended, however it ended. Never rejects. */
  readonly ended: Promise<string>;
  close(): void;
}

/** One member of etcd, spoken to directly: no retries, no other member, no rejections. */
export interface EtcdEndpoint {
  readonly url: string;
  /** `request` and the answer are in the field names of etcd's `rpc.proto`, 64-bit numbers as decimal strings. */
  call<T>(service: keyof typeof Services, method: string, request: object, signal?: AbortSignal): Promise<Reply<T>>;
  /** One renewal. The TTL is in seconds; '0' says that the lease has ended. */
  keepAlive(lease: string, signal?: AbortSignal): Promise<Reply<{ readonly TTL: string }>>;
  /** `heard` is called for the acceptance and for every batch of events. */
  watch(request: object, heard: () => void): WatchStream;
  close(): void;
}

type Unary = (
  request: object,
  metadata: Metadata,
  answered: (error: Error | null, value: unknown) => void,
) => {
  cancel(): void;
};
type Duplex = (metadata: Metadata) => ClientDuplexStream<object, Record<string, unknown>>;

/** The package keeps its connections to itself; its retries and circuit breakers act on what they see fail, so nothing does. */
class Connections extends Etcd3 {
  with<T>(service: keyof typeof Services, body: (client: GrpcClient, metadata: Metadata) => Promise<T>): Promise<T> {
    return this.pool.withConnection(service, ({ client, metadata }) => body(client, metadata));
  }
}

/**
 * A dead connection is found within 2 s while a call or a watch is open; etcd's `--grpc-keepalive-min-time` must allow it,
 * and etcd hangs up on whoever pings without a call. A member that comes back is noticed within half a second, where gRPC
 * alone would wait up to two minutes.
 */
const CHANNEL = {
  'grpc.keepalive_time_ms': 1_000,
  'grpc.keepalive_timeout_ms': 900,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.enable_retries': 0,
  // A shard's keys with all their history are some 2 MB.
  'grpc.max_receive_message_length': 64 << 20,
};

/** Refusals of etcd's that come before anything is applied. Every other failure may come after. */
const REFUSALS: readonly number[] = [
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.PERMISSION_DENIED,
  status.RESOURCE_EXHAUSTED,
  status.FAILED_PRECONDITION,
  status.OUT_OF_RANGE,
  status.UNAUTHENTICATED,
];

/** Opens no connection until the first call. */
export function createEtcdEndpoint(deps: { clock: Clock }, config: EtcdEndpointConfig): EtcdEndpoint {
  const { hostname, protocol } = new URL(config.url);
  const serverName = config.tls?.serverName;
  if (protocol === 'https:' && isIP(hostname.replace(/^\[|\]$/g, '')) !== 0 && serverName === undefined)
    throw new RangeError(`${config.url}: TLS to an address needs the name in the member's certificate`);
  const closing = new AbortController();
  let isProbing = false;
  const connections = new Connections({
    hosts: config.url,
    grpcOptions: { ...CHANNEL, ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }) },
    ...(config.tls === undefined ? {} : { credentials: tlsOf(config.tls) }),
  });
  const token = createEtcdToken(deps, config.credentials, request =>
    withinMs(TOKEN_MS, undefined, within => unary('Auth', 'authenticate', request, undefined, within)),
  );

  async function unary<T>(
    service: keyof typeof Services,
    method: string,
    request: object,
    token: string | undefined,
    within: AbortSignal,
  ): Promise<Reply<T>> {
    return connections.with(service, async (client, metadata): Promise<Reply<T>> => {
      const unready = await untilReady(client, within);
      if (unready !== undefined) return { kind: 'unsent', message: unready };
      attach(metadata, token);
      return new Promise(resolve => {
        // gRPC's own deadlines are moments of the wall clock, which may step.
        const call = (client as unknown as Record<string, Unary>)[method]?.(request, metadata, (error, value) => {
          within.removeEventListener('abort', cancel);
          resolve(error === null ? { kind: 'answered', value: value as T } : failure(error, within));
        });
        const cancel = () => call?.cancel();
        within.addEventListener('abort', cancel);
      });
    });
  }

  async function renew(lease: string, token: string | undefined, within: AbortSignal): Promise<Reply<{ TTL: string }>> {
    return connections.with('Lease', async (client, metadata): Promise<Reply<{ TTL: string }>> => {
      const unready = await untilReady(client, within);
      if (unready !== undefined) return { kind: 'unsent', message: unready };
      attach(metadata, token);
      return new Promise(resolve => {
        const stream = (client as unknown as { leaseKeepAlive: Duplex }).leaseKeepAlive(metadata);
        const cancel = () => stream.cancel();
        const settle = (reply: Reply<{ TTL: string }>) => {
          within.removeEventListener('abort', cancel);
          resolve(reply);
        };
        within.addEventListener('abort', cancel);
        stream.on('data', value => {
          settle({ kind: 'answered', value: value as { TTL: string } });
          stream.end();
        });
        stream.on('error', error => settle(failure(error, within)));
        stream.on('end', () => settle({ kind: 'unanswered', message: 'the renewal was not answered' }));
        stream.write({ ID: lease });
      });
    });
  }

  /** The token first, then the call; after a refusal for a stale token or password both once more. */
  async function authenticated<T>(
    signal: AbortSignal | undefined,
    send: (token: string | undefined, within: AbortSignal) => Promise<Reply<T>>,
  ): Promise<Reply<T>> {
    return withinMs(config.deadlineMs, signal, async within => {
      for (let attempt = 1; ; attempt += 1) {
        const found = await token.get(within);
        if (found.kind !== 'answered') return found;
        const reply = await send(found.value, within);
        if (reply.kind === 'unanswered') probe();
        if (reply.kind !== 'refused' || !reply.isStale || config.credentials === undefined || attempt > 1) return reply;
        token.forget(found.value);
      }
    });
  }

  /**
   * Keeps a call open after one went without an answer: only with a call open does gRPC look whether the connection is
   * dead, and without a new one the endpoint would stay lost for minutes after the network has healed.
   */
  function probe(): void {
    if (isProbing || closing.signal.aborted) return;
    isProbing = true;
    void withinMs(PROBE_MS, closing.signal, within => unary('Maintenance', 'status', {}, undefined, within))
      .catch(unsent)
      .finally(() => {
        isProbing = false;
      });
  }

  function watch(request: object, heard: () => void): WatchStream {
    const given = new AbortController();
    const ended = authenticated(given.signal, async token => ({ kind: 'answered', value: token }))
      .then(found => (found.kind === 'answered' ? follow(request, heard, found.value, given.signal) : found.message))
      .catch(String);
    return { ended, close: () => given.abort() };
  }

  async function follow(
    request: object,
    heard: () => void,
    known: string | undefined,
    closing: AbortSignal,
  ): Promise<string> {
    return connections.with('Watch', async (client, metadata): Promise<string> => {
      const unready = await withinMs(config.deadlineMs, closing, within => untilReady(client, within));
      if (unready !== undefined) return unready;
      attach(metadata, known);
      const reason = await new Promise<string>(resolve => {
        const stream = (client as unknown as { watch: Duplex }).watch(metadata);
        const cancel = () => stream.cancel();
        const unaccepted = setTimeout(cancel, ACCEPT_MS);
        const settle = (why: string) => {
          clearTimeout(unaccepted);
          closing.removeEventListener('abort', cancel);
          resolve(why);
        };
        closing.addEventListener('abort', cancel);
        stream.on('data', (response: { created?: boolean; canceled?: boolean; cancel_reason?: string }) => {
          clearTimeout(unaccepted);
          if (response.canceled) {
            settle(response.cancel_reason ?? 'cancelled');
            stream.cancel();
          } else heard();
        });
        stream.on('error', error => settle(error.message));
        stream.on('end', () => settle('the stream ended'));
        stream.write(request);
      });
      if (known !== undefined && isStale(reason)) token.forget(known);
      return reason;
    });
  }

  return {
    url: config.url,
    call: <T>(service: keyof typeof Services, method: string, request: object, signal?: AbortSignal) =>
      authenticated(signal, (known, within) => unary<T>(service, method, request, known, within)).catch(unsent),
    keepAlive: (lease, signal) => authenticated(signal, (known, within) => renew(lease, known, within)).catch(unsent),
    watch,
    close() {
      closing.abort();
      connections.close();
    },
  };
}

/** etcd takes its time over a password on purpose; a call waits its own deadline only, and the next finds the token. */
const TOKEN_MS = 2_000;
const ACCEPT_MS = 1_000;
/** Longer than gRPC takes to find a connection dead. */
const PROBE_MS = 2_500;

/** The package throws, before anything is sent, for a client that was closed. */
function unsent(error: unknown): Reply<never> {
  return { kind: 'unsent', message: String(error) };
}

/**
 * Undefined once a call may be sent; else why not. A connection that failed is no reason to wait: the call fails at once
 * and says why.
 */
async function untilReady(client: GrpcClient, within: AbortSignal): Promise<string | undefined> {
  const channel = client.getChannel();
  for (;;) {
    if (within.aborted) return 'not connected within the deadline';
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY || state === connectivityState.TRANSIENT_FAILURE) return undefined;
    if (state === connectivityState.SHUTDOWN) return 'the client is closed';
    await new Promise<void>(resolve => {
      const go = () => {
        within.removeEventListener('abort', go);
        resolve();
      };
      within.addEventListener('abort', go);
      channel.watchConnectivityState(state, Date.now() + 1_000, go);
    });
  }
}

/** A member that has lost its leader then says so, before it does anything, and ends watches, instead of falling silent. */
function attach(metadata: Metadata, token: string | undefined): void {
  metadata.set('hasleader', 'true');
  if (token !== undefined) metadata.set('token', token);
}

function failure(error: Error, within: AbortSignal): Reply<never> {
  const code = 'code' in error ? error.code : undefined;
  const message = 'details' in error ? String(error.details) : error.message;
  if (within.aborted) return { kind: 'unanswered', message: 'no answer within the deadline' };
  // The connection broke between the look at its state and the sending.
  if (message.startsWith('No connection established')) return { kind: 'unsent', message };
  // As good as unsent: the member asks itself before it looks at the call. The next one may have a leader.
  if (message === 'etcdserver: no leader') return { kind: 'unsent', message };
  if (message.startsWith('etcdserver:') && typeof code === 'number' && REFUSALS.includes(code))
    return { kind: 'refused', message, isStale: code === status.UNAUTHENTICATED || isStale(message) };
  return { kind: 'unanswered', message };
}

function tlsOf({ root, cert, key }: EtcdTls) {
  return {
    rootCertificate: root,
    ...(cert === undefined ? {} : { certChain: cert }),
    ...(key === undefined ? {} : { privateKey: key }),
  };
}

/** Runs `work` under a signal that aborts after `ms` or with `outer`. */
async function withinMs<T>(
  ms: number,
  outer: AbortSignal | undefined,
  work: (within: AbortSignal) => Promise<T>,
): Promise<T> {
  const given = new AbortController();
  const giveUp = () => given.abort();
  if (outer?.aborted) giveUp();
  outer?.addEventListener('abort', giveUp);
  const timer = setTimeout(giveUp, ms);
  try {
    return await work(given.signal);
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener('abort', giveUp);
  }
}
