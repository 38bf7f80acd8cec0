import { pino } from 'pino';
import { Registry } from 'prom-client';
import { type ControlServer, createControlServer } from '../../lib/control-server/control-server.ts';
import { freePorts } from '../../lib/etcd-process/ports.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import type { ClusterState } from '../../lib/shard/state.ts';
import type { Detected } from './detector.ts';
import type { Identity } from './lines.ts';
import { createSenses, type Senses } from './senses.ts';
import type { Answered } from './server.ts';
import type { EtcdView, Snapshot } from './snapshot.ts';
import { internalRouter } from './status.ts';
import { aRef, aSender, aSnapshot, aState } from './testing/a-snapshot.ts';
import { defaultTimes, type Times } from './times.ts';

const logger = pino({ level: 'silent' });
const now = () => performance.now();
const times: Times = {
  ...defaultTimes,
  heartbeatMs: 60,
  probeEveryMs: 10,
  probeDeadlineMs: 150,
  detachedMs: 500,
  syncLostMs: 300,
};

/** A sitter without a loop: it looks when it is asked to. */
interface Peer {
  readonly senses: Senses;
  /** What differs in its eyes. */
  answered: Partial<Answered>;
  etcd: Partial<EtcdView>;
  identity: Identity;
  look(): Detected;
  /** Its port is closed, and with it all connections: what a container's death looks like. */
  die(): Promise<void>;
  /** Its heartbeats end, and nobody is told. */
  vanish(): void;
}

let peers: Peer[];
let state: ClusterState;

beforeEach(async () => {
  const ports = await freePorts(3);
  state = aState(3);
  const at = (n: number) => aRef(n, { sitterUrl: `http://127.0.0.1:${ports[n]}` });
  state = { ...state, primary: at(0), sync: at(1), async: [at(2)] };
  peers = await Promise.all(ports.map((port, n) => aPeer(n, port)));
});
afterEach(async () => {
  await Promise.all(peers.map(peer => peer.die()));
});

async function aPeer(n: number, port: number): Promise<Peer> {
  const role = (['primary', 'sync', 'async'] as const)[n];
  const base = aSnapshot(role === undefined ? {} : { role });
  const senses = createSenses(
    { logger, now, identity: () => peer.identity, last },
    { shard: 1, id: `pg-1-${n}`, times },
    () => {},
  );
  const control = createPort(port, senses);
  await control.listen();

  function etcd(): EtcdView {
    return { ...base.etcd, state: { value: state, modRevision: 50 }, peers: {}, readAt: now(), ...peer.etcd };
  }

  function answered(): Answered {
    return {
      ...(base.server.answered as Answered),
      at: now(),
      streamMovedAt: undefined,
      senders: [],
      ...peer.answered,
    };
  }

  function last(): Snapshot {
    return { ...base, now: now(), etcd: etcd(), server: { ...base.server, answered: answered() } };
  }

  function createPort(at: number, { receiver }: Senses): ControlServer {
    const status = {
      now,
      identity: () => peer.identity,
      receiver,
      sitter: { last: () => ({ snapshot: last(), decision: undefined }), turnedAt: now, overdue: () => undefined },
    };
    return createControlServer(
      {
        logger,
        registry: new Registry(),
        isReady: () => true,
        upgrade: receiver.accept,
        routers: [['/internal/v1', internalRouter(status)]],
      },
      { host: '127.0.0.1', port: at, drainMs: 0 },
    );
  }

  const peer: Peer = {
    senses,
    answered: {},
    etcd: {},
    identity: { shard: 1, id: `pg-1-${n}`, incarnation: `life-${n}`, session: 's' },
    look: () => senses.detector.observe(etcd(), answered(), now()),
    async die() {
      senses.close();
      await control.close();
    },
    vanish: () => senses.sender.close(),
  };
  return peer;
}

const [primary, sync, async] = [0, 1, 2].map(n => () => peers[n] as Peer) as [() => Peer, () => Peer, () => Peer];

/** Everybody looks, until it is true. */
function seen(check: () => unknown): Promise<void> {
  return eventually(() => {
    for (const peer of peers) peer.look();
    return check();
  });
}

const heard = () =>
  seen(() => {
    const everybody = [sync().look().heartbeat, async().look().heartbeat, ...Object.values(primary().look().answers)];
    return everybody.length === 4 && everybody.every(found => found !== undefined);
  });

/** The sync's row as long as all is well. */
const replying = () => ({ senders: [aSender('pg-1-1', { repliedAt: now(), flushMovedAt: now() })] });

describe('the standbys of a primary', () => {
  test('hear it, and it hears them', async () => {
    await heard();
    expect(sync().look().primary).toMatchObject({ kind: 'alive' });
    expect(Object.keys(primary().look().answers).sort()).toEqual(['pg-1-1', 'pg-1-2']);
    expect(sync().look().answers).toEqual({});
  });

  test('know that it is gone when its port refuses', async () => {
    await heard();
    await primary().die();
    await eventually(() => sync().look().primary?.kind === 'gone' && async().look().primary?.kind === 'gone');
  });

  test('know that it is gone when somebody else answers there', async () => {
    await heard();
    primary().identity = { ...primary().identity, incarnation: 'another life' };
    await seen(() => sync().look().primary?.kind === 'gone');
  });

  test('do not think it gone when only the connections broke', async () => {
    await heard();
    primary().vanish();
    await eventually(() => sync().look().primary?.kind === 'silent' && async().look().primary?.kind === 'silent');
  });

  test('hold a silence for certain when the other one hears nothing either', async () => {
    await heard();
    primary().vanish();
    await eventually(() => {
      async().look();
      const verdict = sync().look().primary;
      return verdict?.kind === 'silent' && verdict.isConfirmed;
    });
  });

  test('do not believe in a silence while the other one hears it', async () => {
    await heard();
    primary().senses.sender.setTargets([{ id: 'pg-1-2', sitterUrl: state.async[0]?.sitterUrl ?? '' }]);
    let silences = 0;
    await eventually(() => {
      const verdict = sync().look().primary;
      expect(verdict).not.toMatchObject({ kind: 'silent', isConfirmed: true });
      if (verdict?.kind === 'silent') silences += 1;
      return silences > 20;
    });
  });

  test('take the silence for real when the other one is lost, too, and etcd answers', async () => {
    await heard();
    primary().vanish();
    await async().die();
    await eventually(() => sync().look().primary?.isConfirmed && sync().look().primary?.kind === 'silent');
  });

  test('do not when etcd has not answered since, either', async () => {
    const readAt = now();
    await heard();
    primary().vanish();
    await async().die();
    let silences = 0;
    await eventually(() => {
      sync().etcd = { readAt };
      const verdict = sync().look().primary;
      expect(verdict).not.toMatchObject({ kind: 'silent', isConfirmed: true });
      if (verdict?.kind === 'silent') silences += 1;
      return silences > 20;
    });
  });

  test('count its replication stream as a sign of life, the sync only', async () => {
    await heard();
    primary().vanish();
    await eventually(() => {
      sync().answered = { streamMovedAt: now() };
      async().answered = { streamMovedAt: now() };
      expect(sync().look().primary?.kind).toBe('alive');
      return async().look().primary?.kind === 'silent';
    });
  });

  test('call it detached when etcd has had no key of it for long, and no longer when etcd is not read', async () => {
    await heard();
    const absentSince = { 'pg-1-0': now() - times.detachedMs };
    sync().etcd = { absentSince };
    expect(sync().look().primary).toMatchObject({ kind: 'detached', isConfirmed: true });
    sync().etcd = { absentSince, readAt: now() - times.leaseMs };
    expect(sync().look().primary?.kind).toBe('alive');
  });

  test('watch it anew in a new generation', async () => {
    await heard();
    primary().vanish();
    await eventually(() => sync().look().primary?.kind === 'silent');
    state = { ...state, generation: 5 };
    expect(sync().look().primary?.kind).toBe('alive');
  });
});

describe('the primary', () => {
  test('finds its sync fine while it answers and replies', async () => {
    await heard();
    primary().answered = replying();
    expect(primary().look().sync?.kind).toBe('fine');
  });

  test('knows that its sync is gone when the port refuses', async () => {
    await heard();
    await sync().die();
    await eventually(() => {
      primary().answered = replying();
      return primary().look().sync?.kind === 'gone';
    });
  });

  test('calls its sync lost when the sender has vanished, though its sitter answers', async () => {
    await heard();
    primary().answered = replying();
    primary().look();
    primary().answered = {};
    await eventually(() => primary().look().sync?.kind === 'lost');
  });

  test('calls a sync unfit that has another life of its directory', async () => {
    await heard();
    sync().identity = { ...sync().identity, incarnation: 'another life' };
    await eventually(() => {
      primary().answered = replying();
      return primary().look().sync?.kind === 'unfit';
    });
  });

  test('does not judge its sync while its own server is in recovery', async () => {
    await heard();
    primary().answered = { inRecovery: true };
    expect(primary().look().sync).toBeUndefined();
  });

  test('is fresh by a reply of its sync and by a read of the state that names it, and by nothing else', () => {
    const readAt = now() - 2_000;
    primary().etcd = { readAt };
    expect(primary().look().freshAt).toBe(readAt);
    const repliedAt = now() - 1_000;
    primary().answered = { senders: [aSender('pg-1-2', { repliedAt: now() }), aSender('pg-1-1', { repliedAt })] };
    expect(primary().look().freshAt).toBe(repliedAt);
    state = { ...state, primary: aRef(1), sync: aRef(0) };
    primary().answered = { inRecovery: true };
    expect(primary().look().freshAt).toBeUndefined();
  });

  test('is fresh by the replies of the one its settings name when the state is another than it was opened in', () => {
    state = { ...state, primary: aRef(2), sync: aRef(0) };
    const repliedAt = now() - 1_000;
    const senders = [aSender('pg-1-2', { repliedAt: now() }), aSender('pg-1-1', { repliedAt })];
    primary().answered = { ssn: ['pg-1-1'], senders };
    expect(primary().look().freshAt).toBe(repliedAt);
    primary().answered = { ssn: ['pg-1-2', 'pg-1-1'], senders };
    expect(primary().look().freshAt).toBe(repliedAt);
  });
});
