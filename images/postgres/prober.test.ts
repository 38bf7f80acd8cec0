import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { eventually } from '../../lib/eventually/eventually.ts';
import { askPeer } from './peer-call.ts';
import { createProber, type Prober } from './prober.ts';

let closes: (() => unknown)[];
let answer: { status: number; body: string };
let asked: number;

beforeEach(() => {
  closes = [];
  asked = 0;
  answer = { status: 200, body: JSON.stringify({ shard: 1, id: 'pg-1-0', incarnation: 'i', session: 's' }) };
});
afterEach(() => {
  for (const close of closes.reverse()) close();
});

function listening(server: Server): Promise<string> {
  closes.push(() => server.close());
  return new Promise(resolve => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

const aSitter = () =>
  listening(
    createServer((_, response) => {
      asked += 1;
      response.writeHead(answer.status).end(answer.body);
    }),
  );

async function aRefusal(): Promise<string> {
  const server = createTcpServer();
  const url = await listening(server);
  await new Promise(resolve => server.close(resolve));
  return url;
}

/** `results`: the counts it told of. */
function aProber(): Prober & { results: number[] } {
  const results: number[] = [];
  const prober = createProber(
    { ask: askPeer },
    { shard: 1, everyMs: 5, slowlyMs: 10, deadlineMs: 500 },
    () => void results.push(prober.refusals()),
  );
  closes.push(prober.close);
  return { ...prober, results };
}

const target = (sitterUrl: string, incarnation: string | null = 'i') => ({ id: 'pg-1-0', incarnation, sitterUrl });

test('refusals are counted as long as they go on', async () => {
  const prober = aProber();
  prober.watch(target(await aRefusal()));
  await eventually(() => prober.refusals() >= 3);
  expect(prober.results.slice(0, 3)).toEqual([1, 2, 3]);
});

test.each([
  ['another peer', { shard: 1, id: 'pg-1-2', incarnation: 'i' }],
  ['another shard', { shard: 2, id: 'pg-1-0', incarnation: 'i' }],
  ['another life of the directory', { shard: 1, id: 'pg-1-0', incarnation: 'j' }],
  ['something else', { hello: 'world' }],
])('an answer of %s counts as a refusal', async (_, body) => {
  answer = { status: 404, body: JSON.stringify(body) };
  const prober = aProber();
  prober.watch(target(await aSitter()));
  await eventually(() => prober.refusals() >= 2);
});

test('so does what is no HTTP, and a connection that is closed', async () => {
  for (const behave of ['nonsense', 'hang up']) {
    const server = createTcpServer(socket => {
      socket.on('error', () => {});
      socket.end(behave === 'nonsense' ? 'EHLO\r\n\r\n' : '');
    });
    const prober = aProber();
    prober.watch(target(await listening(server)));
    await eventually(() => prober.refusals() >= 2);
  }
});

test('its own answer is none, whatever life the state does not know yet', async () => {
  const prober = aProber();
  prober.watch(target(await aSitter(), null));
  await eventually(() => asked >= 3);
  expect(prober.refusals()).toBe(0);
});

test('silence says nothing', async () => {
  let connections = 0;
  const server = createTcpServer(socket => {
    socket.on('error', () => {});
    connections += 1;
  });
  const url = await listening(server);
  const results: number[] = [];
  const prober = createProber({ ask: askPeer }, { shard: 1, everyMs: 5, slowlyMs: 5, deadlineMs: 30 }, () => {
    results.push(prober.refusals());
  });
  closes.push(prober.close);
  prober.watch(target(url));
  await eventually(() => connections >= 4);
  expect(results).toEqual([]);
});

test('another target is counted from nothing, the same one goes on', async () => {
  const prober = aProber();
  const refusing = target(await aRefusal());
  prober.watch(refusing);
  await eventually(() => prober.refusals() >= 2);
  prober.watch({ ...refusing });
  expect(prober.refusals()).toBeGreaterThanOrEqual(2);
  prober.watch(undefined);
  expect(prober.refusals()).toBe(0);
  prober.watch(refusing);
  expect(prober.refusals()).toBe(0);
});
