import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { pino } from 'pino';
import { eventually } from '../../lib/eventually/eventually.ts';
import type { HeartbeatAnswerLine, HeartbeatLine } from './heartbeat-line.ts';
import { createHeartbeatReceiver, type HeartbeatReceiver } from './heartbeat-receiver.ts';
import { createHeartbeatSender, type HeartbeatSender } from './heartbeat-sender.ts';

const logger = pino({ level: 'silent' });
const now = () => performance.now();
const HEARTBEAT_MS = 20;
const SILENCE_MS = 200;

let closes: (() => void)[];
let line: HeartbeatLine;
let answer: HeartbeatAnswerLine;

beforeEach(() => {
  closes = [];
  const identity = { shard: 1, incarnation: 'i', session: 's', generation: 3, n: 1 };
  line = { ...identity, id: 'pg-1-0', status: 'active', terminating: false, flush: '0/1', etcdAgeMs: 5 };
  answer = {
    ...identity,
    id: 'pg-1-1',
    received: '0/1',
    replayed: '0/1',
    health: 'ok',
    terminating: false,
    ready: true,
  };
});
afterEach(() => {
  for (const close of closes.reverse()) close();
});

interface Sitter {
  readonly receiver: HeartbeatReceiver;
  readonly url: string;
  readonly port: number;
  /** As when the process ends. */
  die(): void;
  changes: number;
}

async function aSitter({ shard = 1, port = 0 }: { shard?: number; port?: number } = {}): Promise<Sitter> {
  const receiver = createHeartbeatReceiver(
    { logger, now, answer: ({ n }) => ({ ...answer, n }) },
    { shard, idleMs: 10_000 },
    () => {
      sitter.changes += 1;
    },
  );
  const server = createServer((_, response) => response.end());
  server.on('upgrade', (request, socket, head) => {
    if (!receiver.accept(request, socket, head)) socket.destroy();
  });
  const url = await listening(server, port);
  const die = () => {
    receiver.close();
    server.close();
  };
  closes.push(die);
  const sitter: Sitter = { receiver, url, port: Number(new URL(url).port), die, changes: 0 };
  return sitter;
}

function listening(server: Pick<Server, 'listen' | 'address'>, port = 0): Promise<string> {
  return new Promise(resolve => {
    server.listen(port, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

function aSender(...targets: { id: string; sitterUrl: string }[]): HeartbeatSender & { changes: () => number } {
  let changes = 0;
  const sender = createHeartbeatSender(
    { logger, now, line: () => line },
    { shard: 1, heartbeatMs: HEARTBEAT_MS, silenceMs: SILENCE_MS },
    () => {
      changes += 1;
    },
  );
  closes.push(sender.close);
  sender.setTargets(targets);
  return { ...sender, changes: () => changes };
}

test('each side hears the other, again and again', async () => {
  const sitter = await aSitter();
  const sender = aSender({ id: 'pg-1-1', sitterUrl: sitter.url });
  await eventually(() => sender.answers('pg-1-1').last !== undefined);
  const first = sitter.receiver.heard('pg-1-0').last?.at ?? 0;
  expect(sender.answers('pg-1-1')).toMatchObject({ last: { id: 'pg-1-1', ready: true }, brokenAt: undefined });
  expect(sitter.receiver.heard('pg-1-0')).toMatchObject({ last: { flush: '0/1' }, brokenAt: undefined });
  await eventually(() => (sitter.receiver.heard('pg-1-0').last?.at ?? 0) > first);
});

test('only news are told: a line like the one before is none', async () => {
  const sitter = await aSitter();
  const sender = aSender({ id: 'pg-1-1', sitterUrl: sitter.url });
  await eventually(() => sender.answers('pg-1-1').last !== undefined);
  const first = sender.answers('pg-1-1').last?.at ?? 0;
  await eventually(() => (sender.answers('pg-1-1').last?.at ?? 0) > first);
  expect([sitter.changes, sender.changes()]).toEqual([1, 1]);
  line = { ...line, status: 'handoff' };
  answer = { ...answer, health: 'disk-full' };
  sender.beat();
  await eventually(() => sitter.changes === 2 && sender.changes() === 2);
});

test('the end of the sender is noticed at once', async () => {
  const sitter = await aSitter();
  const sender = aSender({ id: 'pg-1-1', sitterUrl: sitter.url });
  await eventually(() => sitter.receiver.heard('pg-1-0').last !== undefined);
  sender.close();
  await eventually(() => sitter.receiver.heard('pg-1-0').brokenAt !== undefined);
  const again = aSender({ id: 'pg-1-1', sitterUrl: sitter.url });
  await eventually(() => sitter.receiver.heard('pg-1-0').brokenAt === undefined);
  again.close();
});

test('the end of the receiver is noticed at once, and its return with its first answer', async () => {
  const sitter = await aSitter();
  const sender = aSender({ id: 'pg-1-1', sitterUrl: sitter.url });
  await eventually(() => sender.answers('pg-1-1').last !== undefined);
  sitter.die();
  await eventually(() => sender.answers('pg-1-1').brokenAt !== undefined);
  await aSitter({ port: sitter.port });
  await eventually(() => sender.answers('pg-1-1').brokenAt === undefined);
});

test('a receiver that was never there is broken, too', async () => {
  const sitter = await aSitter();
  sitter.die();
  const sender = aSender({ id: 'pg-1-1', sitterUrl: sitter.url });
  await eventually(() => sender.answers('pg-1-1').brokenAt !== undefined);
});

test.each([
  ['another peer', { id: 'pg-1-2' }],
  ['another shard', { shard: 2 }],
])('an answer of %s counts as none, and as a break', async (_, difference) => {
  answer = { ...answer, ...difference };
  const sitter = await aSitter();
  const sender = aSender({ id: 'pg-1-1', sitterUrl: sitter.url });
  await eventually(() => sender.answers('pg-1-1').brokenAt !== undefined);
  expect(sender.answers('pg-1-1').last).toBeUndefined();
});

test('lines of another shard are not heard', async () => {
  const sitter = await aSitter({ shard: 2 });
  const sender = aSender({ id: 'pg-1-1', sitterUrl: sitter.url });
  await eventually(() => sender.answers('pg-1-1').brokenAt !== undefined);
  expect(sitter.receiver.heard('pg-1-0').last).toBeUndefined();
});

test('something else on the port counts as a break', async () => {
  const server = createServer((_, response) => response.end('{}'));
  closes.push(() => server.close());
  const sender = aSender({ id: 'pg-1-1', sitterUrl: await listening(server) });
  await eventually(() => sender.answers('pg-1-1').brokenAt !== undefined);
});

test('a receiver that falls silent is not broken: the connection is replaced, in case only that is dead', async () => {
  let connections = 0;
  const server = createTcpServer(() => {
    connections += 1;
  });
  closes.push(() => server.close());
  const port = await new Promise<number>(resolve => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
  const sender = aSender({ id: 'pg-1-1', sitterUrl: `http://127.0.0.1:${port}` });
  await eventually(() => connections >= 2);
  expect(sender.answers('pg-1-1')).toEqual({ last: undefined, brokenAt: undefined });
});

test('whoever does not speak the protocol is disconnected', async () => {
  const sitter = await aSitter();
  for (const nonsense of ['nonsense\n', '{"id":"pg-1-0"}\n', 'x'.repeat(20_000)]) {
    const socket = connect(sitter.port, '127.0.0.1');
    socket.on('error', () => {});
    closes.push(() => socket.destroy());
    let isClosed = false;
    socket.on('close', () => {
      isClosed = true;
    });
    socket.resume();
    socket.write(
      'GET /internal/v1/heartbeat HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: manta-heartbeat\r\n\r\n',
    );
    socket.write(nonsense);
    await eventually(() => isClosed);
  }
  expect(sitter.changes).toBe(0);
});
