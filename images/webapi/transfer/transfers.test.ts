import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { eventually } from '../../../lib/eventually/eventually.ts';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import type { StorageNodeView } from '../../../lib/metadata/types.ts';
import { startTestStorageNode, type TestStorageNode } from '../../storage/testing.ts';
import type { TransferConfig } from './config.ts';
import { anUpload, aView, type FakeNode, patient, refuse, startFakeNode, startTransfers } from './testing.ts';
import type { TransferDeps } from './transfers.ts';

/** So much more space than the others have that placement takes it first. */
const INVITING = { totalBytes: 2 ** 52, availBytes: 2 ** 52 };
const MIB = 1_048_576;

let nodes: TestStorageNode[];
let endings: Array<() => Promise<void>> = [];

beforeAll(async () => {
  nodes = await Promise.all([1, 2].map(number => startTestStorageNode({ number })));
});
afterEach(async () => {
  await Promise.all(endings.map(end => end()));
  endings = [];
});
afterAll(() => Promise.all(nodes.map(node => node.close())));

async function start(
  list: () => StorageNodeView[],
  settings: Partial<TransferConfig> = {},
  deps: Partial<TransferDeps> = {},
) {
  const transfers = await startTransfers(list, settings, deps);
  endings.push(() => transfers.close());
  return transfers;
}

async function fake(behave: (request: IncomingMessage, response: ServerResponse) => void): Promise<FakeNode> {
  const node = await startFakeNode(behave);
  endings.push(() => node.close());
  return node;
}

const healthy = (change: Partial<StorageNodeView> = {}) => nodes.map((node, index) => aView(index + 1, node, change));

async function expectNoTemporaries(): Promise<void> {
  for (const node of nodes) await eventually(async () => expect(await node.temporaries()).toEqual([]));
}

describe('openUpload', () => {
  it.each<[string, (request: IncomingMessage, response: ServerResponse) => void]>([
    ['has no space', (_, response) => refuse(response, 507, 'NotEnoughSpace')],
    ['is out of service', (_, response) => refuse(response, 503, 'Unavailable')],
    ['does not know the token', (_, response) => refuse(response, 401, 'InvalidToken')],
    ['says nothing', () => {}],
    ['hangs up', request => request.socket.destroy()],
    ['speaks no HTTP', request => request.socket.end('220 mail.example ready\r\n')],
    ['answers in place of 100 Continue', (_, response) => response.writeHead(201).end('{}')],
  ])('replaces a node that %s', async (_, behave) => {
    const node = await fake(behave);
    const transfers = await start(() => [...healthy(), aView(3, node, INVITING)], { continueMs: 1_000 });
    const upload = await transfers.openUpload(anUpload(), patient);
    expect(node.requests()).toBe(1);
    expect([...upload.copies].sort()).toEqual([1, 2]);
    expect((await upload.send(Readable.from([Buffer.from('x')]), patient)).sizeBytes).toBe(1);
  });

  it('replaces a node that cannot be reached', async () => {
    const gone = await startFakeNode(() => {});
    await gone.close();
    const transfers = await start(() => [...healthy(), aView(3, gone, INVITING)]);
    const upload = await transfers.openUpload(anUpload(), patient);
    expect([...upload.copies].sort()).toEqual([1, 2]);
    upload.abort();
  });

  it('gives up after three attempts and lets go of the nodes that would have taken a copy', async () => {
    const silent = await Promise.all(
      [3, 4, 5, 6].map(() => fake((_, response) => refuse(response, 503, 'Unavailable'))),
    );
    const list = () => [
      ...healthy({ availBytes: 200 * MIB }).slice(0, 1),
      ...silent.map((node, index) => aView(index + 3, node, INVITING)),
    ];
    const transfers = await start(list);
    await expect(transfers.openUpload(anUpload({ sizeBytes: 1 }), patient)).rejects.toMatchObject({
      code: 'SharksExhausted',
    });
    expect(silent.reduce((sum, node) => sum + node.requests(), 0)).toBeLessThanOrEqual(4);
    await expectNoTemporaries();
  });

  it('says that space is short when that is what every node said', async () => {
    const full = await Promise.all([3, 4].map(() => fake((_, response) => refuse(response, 507, 'NotEnoughSpace'))));
    const transfers = await start(() => full.map((node, index) => aView(index + 3, node)));
    await expect(transfers.openUpload(anUpload({ sizeBytes: 3 * MIB + 1 }), patient)).rejects.toMatchObject({
      code: 'NotEnoughSpace',
      message: 'not enough free space for 4 MB',
    });
  });

  it('says that space is short for more bytes or more copies than there is room for', async () => {
    const transfers = await start(healthy);
    const short = { code: 'NotEnoughSpace' };
    await expect(transfers.openUpload(anUpload({ sizeBytes: 1e15 }), patient)).rejects.toMatchObject(short);
    await expect(transfers.openUpload(anUpload({ sizeBytes: 1, copies: 3 }), patient)).rejects.toMatchObject(short);
    await expectNoTemporaries();
  });

  it('ends at once when the client goes away', async () => {
    const silent = await fake(() => {});
    const transfers = await start(() => [...healthy().slice(0, 1), aView(3, silent, INVITING)]);
    const client = new AbortController();
    const opening = transfers.openUpload(anUpload(), client.signal);
    await eventually(() => expect(silent.requests()).toBe(1));
    client.abort();
    await expect(opening).rejects.toMatchObject({ code: 'UploadAbandoned' });
    await expectNoTemporaries();
  });

  it('leaves a node that failed alone until the registry was asked again', async () => {
    const failing = await fake((_, response) => refuse(response, 503, 'Unavailable'));
    const transfers = await start(() => [...healthy(), aView(3, failing, INVITING)]);
    for (let i = 0; i < 3; i += 1) (await transfers.openUpload(anUpload(), patient)).abort();
    expect(failing.requests()).toBe(1);
    await transfers.refresh();
    (await transfers.openUpload(anUpload(), patient)).abort();
    expect(failing.requests()).toBe(2);
  });

  it('counts what it has placed until the registry was asked again', async () => {
    const transfers = await start(() => healthy({ totalBytes: 200 * MIB, availBytes: 100 * MIB }));
    const request = { sizeBytes: 60 * MIB };
    (await transfers.openUpload(anUpload(request), patient)).abort();
    await expect(transfers.openUpload(anUpload(request), patient)).rejects.toMatchObject({ code: 'NotEnoughSpace' });
    await transfers.refresh();
    (await transfers.openUpload(anUpload(request), patient)).abort();
  });

  it('lets operators fill nodes further than others', async () => {
    const transfers = await start(() => healthy({ totalBytes: 1_000 * MIB, availBytes: 90 * MIB }));
    const request = { sizeBytes: 1 };
    await expect(transfers.openUpload(anUpload(request), patient)).rejects.toMatchObject({ code: 'NotEnoughSpace' });
    (await transfers.openUpload(anUpload({ ...request, operator: true }), patient)).abort();
  });

  it('sets aside what a body of unknown length may need', async () => {
    const transfers = await start(() => healthy({ totalBytes: 1_000 * MIB, availBytes: 500 * MIB }));
    await expect(transfers.openUpload(anUpload(), patient)).rejects.toMatchObject({
      message: 'not enough free space for 5120 MB',
    });
    (await transfers.openUpload(anUpload({ maxBytes: 400 * MIB }), patient)).abort();
  });

  it('tells nodes the length, the digest and where the object will be', async () => {
    const seen: IncomingMessage[] = [];
    const node = await fake((request, response) => {
      seen.push(request);
      response.writeContinue();
    });
    const transfers = await start(() => [aView(1, node)]);
    const md5 = '1B2M2Y8AsgTpgAmY7PhCfg==';
    for (const request of [{ sizeBytes: 12, md5 }, { maxBytes: 7 * MIB }]) {
      (await transfers.openUpload(anUpload({ copies: 1, ...request }), patient)).abort();
    }
    expect(seen.map(({ headers }) => headers)).toMatchObject([
      { 'content-length': '12', 'content-md5': md5, 'x-manta-hint': '1 /a/stor/b', expect: '100-continue' },
      { 'transfer-encoding': 'chunked', 'x-manta-reserve': String(7 * MIB) },
    ]);
  });
});

describe('canWrite', () => {
  it.each<[string, Partial<StorageNodeView>]>([
    ['silent', { heartbeatAgeMs: 60_001 }],
    ['closed for writes', { writes: 'disabled' }],
    ['draining', { lifecycle: 'draining' }],
    ['out of service', { outOfService: true }],
    ['full', { totalBytes: 100, availBytes: 7 }],
    ['out of inodes', { inodesFree: 1 }],
    ['without a volume', { totalBytes: 0, availBytes: 0 }],
  ])('is false when every node is %s', async (_, change) => {
    const list = healthy(change);
    const transfers = await start(() => list);
    expect(transfers.canWrite()).toBe(false);
    list[0] = aView(1, nodes[0] as TestStorageNode);
    await transfers.refresh();
    expect(transfers.canWrite()).toBe(true);
  });

  it('goes on for a bounded time without the registry', async () => {
    let elapsedMs = 0;
    let isReachable = true;
    const clock: Clock = { now: () => elapsedMs, monotonic: () => elapsedMs };
    const list = () => {
      if (!isReachable) throw new Error('no registry');
      return healthy();
    };
    const transfers = await start(list, { viewMaxAgeMs: 1_000 }, { clock });
    isReachable = false;
    for (const [elapsed, expected] of [
      [1_000, true],
      [1_001, false],
    ] as const) {
      elapsedMs = elapsed;
      await transfers.refresh();
      expect(transfers.canWrite()).toBe(expected);
    }
    isReachable = true;
    await transfers.refresh();
    expect(transfers.canWrite()).toBe(true);
  });
});
