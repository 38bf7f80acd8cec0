import { type AddressInfo, connect as connectSocket, createServer, type Server } from 'node:net';
import { eventually } from '../eventually/eventually.ts';
import { childrenOf, vnodeOf } from './path.ts';
import { anAccount, createTestNamespace, type TestAccount, type TestNamespace } from './testing.ts';
import type { Metadata, Place } from './types.ts';

const any = { kind: 'any' } as const;

/** Counts the statements that clients send through it: every one ends with a Sync message. */
async function startCounter(socketPath: string): Promise<{ port: number; count: () => number; server: Server }> {
  let statements = 0;
  const server = createServer(client => {
    const upstream = connectSocket(socketPath);
    let buffered: Buffer = Buffer.alloc(0);
    let started = false;
    client.on('data', (chunk: Buffer) => {
      upstream.write(chunk);
      buffered = Buffer.concat([buffered, chunk]);
      for (;;) {
        // The first message has no type byte.
        const header = started ? 1 : 0;
        if (buffered.length < header + 4) return;
        const length = header + buffered.readUInt32BE(header);
        if (buffered.length < length) return;
        if (started && buffered[0] === 'S'.charCodeAt(0)) statements += 1;
        started = true;
        buffered = buffered.subarray(length);
      }
    });
    upstream.on('data', chunk => client.write(chunk));
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    }
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, count: () => statements, server };
}

let region: TestNamespace;
let counter: Awaited<ReturnType<typeof startCounter>>;
let metadata: Metadata;

beforeAll(async () => {
  region = await createTestNamespace();
  const { host, port } = region.databases.control();
  counter = await startCounter(`${host}/.s.PGSQL.${port}`);
  metadata = region.another({
    shards: region.databases.index.map((target, i) => ({
      shard: i + 1,
      connection: () => ({ ...target(), host: '127.0.0.1', port: counter.port }),
    })),
    probeMs: 3_600_000,
  });
  // The probes at the start are statements too.
  await eventually(() => counter.count() >= 2);
});
afterAll(async () => {
  await region.close();
  await new Promise(resolve => counter.server.close(resolve));
});

async function roundTrips(call: () => Promise<unknown>): Promise<number> {
  const before = counter.count();
  await call();
  return counter.count() - before;
}

function child(me: TestAccount, together: boolean): Place {
  for (let i = 0; ; i += 1) {
    const place = me.at(`d${i}`);
    if ((vnodeOf(place.dir) < 65_536 === vnodeOf(childrenOf(place)) < 65_536) === together) return place;
  }
}

describe('one round trip is enough to', () => {
  it('put, read, list, update and delete', async () => {
    const me = anAccount();
    await metadata.putObject(me.at('first'), me.object(), any);
    const trips: number[] = [];
    trips.push(await roundTrips(() => metadata.putObject(me.at('a'), me.object(), any)));
    trips.push(await roundTrips(() => metadata.putObject(me.at('a'), me.object(), any)));
    trips.push(await roundTrips(() => metadata.getForWrite(me.at('a'))));
    trips.push(await roundTrips(() => metadata.list(childrenOf(me.at()), { sort: 'mtime', reverse: false, limit: 9 })));
    const before = await metadata.get(me.at('a'));
    if (before === undefined) throw new Error('no entry');
    trips.push(await roundTrips(() => metadata.updateMetadata(me.at('a'), { headers: {}, roles: [] }, before)));
    const after = await metadata.get(me.at('a'));
    if (after === undefined) throw new Error('no entry');
    trips.push(await roundTrips(() => metadata.deleteObject(me.at('a'), after.rev)));
    expect(trips).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('make and remove a directory on one shard', async () => {
    const me = anAccount();
    const place = child(me, true);
    expect(await roundTrips(() => metadata.mkdir(place, me.directory(), any))).toBe(1);
    expect(await roundTrips(() => metadata.rmdir(place, any))).toBe(1);
  });
});

describe('bounded work', () => {
  it('lets one of many mkdirs of one path finish, instead of having each undo the other', async () => {
    const me = anAccount();
    const place = child(me, false);
    const many = () => Promise.all(Array.from({ length: 20 }, () => metadata.mkdir(place, me.directory(), any)));
    // Three of the one that makes it; a look or two and a put of each of the others.
    expect(await roundTrips(many)).toBeLessThan(20 * 8);
  });

  it('makes a directory across shards in three steps and removes it in four', async () => {
    const me = anAccount();
    const place = child(me, false);
    expect(await roundTrips(() => metadata.mkdir(place, me.directory(), any))).toBe(3);
    expect(await roundTrips(() => metadata.rmdir(place, any))).toBe(4);
  });

  it('sends many mutations of one shard in few statements', async () => {
    const me = anAccount();
    await metadata.putObject(me.at('first'), me.object(), any);
    const puts = Array.from({ length: 500 }, (_, i) => () => metadata.putObject(me.at(`n${i}`), me.object(), any));
    expect(await roundTrips(() => Promise.all(puts.map(put => put())))).toBeLessThanOrEqual(3);
  });

  it('turns callers away when too many wait', async () => {
    const me = anAccount();
    const narrow = region.another({ maxWaiting: 10, batchRows: 1 });
    await narrow.putObject(me.at('first'), me.object(), any);
    const puts = await Promise.allSettled(
      Array.from({ length: 30 }, (_, i) => narrow.putObject(me.at(`n${i}`), me.object(), any)),
    );
    const refused = puts.filter(put => put.status === 'rejected');
    expect(refused).toHaveLength(20);
    for (const put of refused) expect(put).toMatchObject({ reason: { code: 'ServiceUnavailable' } });
  });
});
