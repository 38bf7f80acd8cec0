import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { eventually } from '../lib/eventually/eventually.ts';
import { connectKubernetes } from '../lib/kubernetes/connect.ts';
import type { KubernetesObject } from '../lib/kubernetes/object.ts';
import type { Resource } from '../lib/kubernetes/resource.ts';
import { nodes, pods } from '../lib/kubernetes/resources.ts';
import { type Clock, systemClock } from '../lib/lifecycle/clock.ts';
import { annotations } from '../lib/resources/names.ts';
import { aRegion, aShard, aStorageNode } from '../lib/resources/testing.ts';
import { type ResourceServer, startResourceServer } from '../lib/resources/testing-server.ts';
import {
  mantaRegions,
  type Shard,
  type ShardStatus,
  type ShardStatusRequest,
  shards,
  storageNodes,
} from '../lib/resources/types.ts';
import { runCli } from './run.ts';
import { aNode, aPod, CREATED, condition } from './testing.ts';

const key = { namespace: 'manta', name: 'shard-2' };
let resources: ResourceServer;
let dir: string;
let nobody: string;

beforeAll(async () => {
  resources = await startResourceServer();
  dir = mkdtempSync(join(tmpdir(), 'manta-cli-'));
  nobody = join(dir, 'nobody.kubeconfig');
  writeFileSync(nobody, await resources.server.kubeconfigFor({ name: 'jill', groups: [] }), { mode: 0o600 });
  await put(mantaRegions, {
    ...aRegion(),
    status: { conditions: [condition('Ready', 'True', 'AllReady')], observedGeneration: 1 },
  });
  const { labels: zone = {}, name: host } = aNode('node-a', { zone: 'us-east-1a' }).metadata;
  await put(nodes, { ...aNode('node-a'), metadata: { name: host, labels: zone } });
  await put(storageNodes, { ...aStorageNode(), status: { nodeName: 'node-a', capacity: { percentUsed: 44 } } });
  for (const pod of [
    aPod('pg-2-0', 'postgres', { node: 'node-a', labels: { 'manta.io/shard': 'shard-2' } }),
    aPod('webapi-1', 'webapi', { node: 'node-a' }),
  ]) {
    const { name = '', labels = {} } = pod.metadata;
    await put(pods, { ...pod, metadata: { name, namespace: 'manta', labels } });
  }
  await put(shards, aShard());
}, 1_800_000);

afterAll(async () => {
  await resources?.stop();
  rmSync(dir, { recursive: true, force: true });
});

beforeEach(async () => {
  const body = { metadata: { annotations: null }, spec: { freeze: null } };
  await resources.admin.patch(shards, key, { type: 'merge', body });
  const conditions = [condition('Ready', 'True', 'ReadWrite')];
  await show({ primary: 'pg-2-0', sync: 'pg-2-1', conditions, peers: [{ name: 'pg-2-0', role: 'primary' }] });
});

async function put<T extends KubernetesObject & { readonly status?: unknown }>(
  resource: Resource<T>,
  { status, ...object }: T,
): Promise<void> {
  const made = await resources.admin.create(resource, object as T);
  if (status !== undefined)
    await resources.admin.replace(resource, { ...made, status } as T, { subresource: 'status' });
}

/** Writes status as the operator does. */
async function show(status: ShardStatus): Promise<void> {
  const found = await resources.admin.get(shards, key);
  const observedGeneration = found?.metadata.generation ?? 0;
  const body = { status: { request: null, ...status, observedGeneration } };
  await resources.admin.patch(shards, key, { type: 'merge', body }, { subresource: 'status' });
}

interface Ran {
  readonly code: number;
  readonly printed: string;
  readonly told: string;
}

/** Runs the command line; `answers`: what somebody at a terminal types. */
async function manta(
  line: string,
  options: {
    readonly answers?: string;
    readonly user?: string;
    readonly clock?: Clock;
    readonly signal?: AbortSignal;
    readonly hear?: (text: string) => void;
  } = {},
): Promise<Ran> {
  const isTTY = options.answers !== undefined;
  const input = Object.assign(new PassThrough(), { isTTY });
  const output = Object.assign(new PassThrough(), { isTTY });
  const told: string[] = [];
  let printed = '';
  output.on('data', chunk => {
    told.push(String(chunk));
    options.hear?.(String(chunk));
    if (/\[y\/N\]|to go on: /.test(String(chunk))) input.write(`${options.answers}\n`);
  });
  const code = await runCli(line.split(' '), {
    calledAs: 'kubectl-manta',
    connect: () => {
      const files = [options.user ?? resources.server.kubeconfigFile];
      return connectKubernetes({ clock: systemClock }, { location: { kind: 'kubeconfig', files } });
    },
    print: text => {
      printed += text;
    },
    terminal: { input, output },
    clock: options.clock ?? systemClock,
    random: Math.random,
    signal: options.signal ?? new AbortController().signal,
  });
  return { code, printed, told: told.join('') };
}

/** Takes the next request of the shard, and answers it with these states. */
async function answer(...states: Pick<ShardStatusRequest, 'state' | 'message'>[]): Promise<string> {
  let request = '';
  await eventually(async () => {
    request = (await shard()).metadata.annotations?.[annotations.request] ?? '';
    return request !== '';
  });
  const [id = '', verb = ''] = request.split(' ');
  for (const state of states) await show({ request: { id, verb, at: CREATED, ...state } });
  return request.slice(id.length + 1);
}

async function shard() {
  const found = await resources.admin.get(shards, key);
  if (found === undefined) throw new Error('there is no shard');
  return found;
}

const specOf = async (): Promise<Shard['spec']> => (await shard()).spec;

describe('kubectl manta with a real API server', () => {
  it('shows the pods of the region and the nodes they are on', async () => {
    const listed = await manta('show -n manta -o program,shard,pod,zone,storage_id');
    expect(listed).toMatchObject({ code: 0, told: '' });
    expect(listed.printed.split('\n')).toEqual([
      'PROGRAM   SH  POD       ZONE        STORAGE ID',
      'postgres   2  pg-2-0    us-east-1a  -',
      'webapi     -  webapi-1  us-east-1a  -',
      '',
    ]);
    const found = await manta('-n manta cn -j -o host,storage_ids 2.stor');
    expect(JSON.parse(found.printed)).toEqual([{ host: 'node-a', storage_ids: ['2.stor.us-east.example.net'] }]);
    expect((await manta('cn --namespace manta -n')).printed).toBe('node-a\n');
  });

  it('groups pods by node and counts them by version', async () => {
    expect((await manta('show -n manta -c')).printed).toMatch(/^node-a \(us-east-1a, 10\.0\.0\.6\)\n {2}PROGRAM/);
    expect((await manta('show -n manta -s -H')).printed).toBe('postgres  2  1.4.2  1  1\nwebapi    -  1.4.2  1  1\n');
  });

  it('says what is missing where there is no region, no such shard, no such program', async () => {
    expect(await manta('show')).toMatchObject({ code: 1, told: expect.stringContaining('kubectl get mr -A') });
    expect(await manta('-n manta shard status 7')).toMatchObject({
      code: 1,
      told: expect.stringContaining('no shard-7'),
    });
    expect(await manta('-n manta show dns')).toMatchObject({
      code: 1,
      told: expect.stringContaining('postgres, webapi'),
    });
    expect(await manta('-n manta show -o pood')).toMatchObject({ code: 2, told: expect.stringContaining('no column') });
  });

  it('names the role and the command that gives it to whoever may not', async () => {
    const refused = await manta('-n manta shard status', { user: nobody });
    expect(refused.code).toBe(1);
    expect(refused.told).toContain('kubectl -n manta create rolebinding NAME --role=manta-viewer --user=USER');
  });

  it('exits 1 when something is wrong with a shard, and 0 when nothing is', async () => {
    expect((await manta('-n manta shard status')).code).toBe(0);
    await show({ conditions: [condition('Ready', 'False', 'NoPrimary', 'pg-2-0 does not answer')] });
    const wrong = await manta('-n manta shard status 2');
    expect(wrong.code).toBe(1);
    expect(wrong.printed).toContain('error: NoPrimary: pg-2-0 does not answer');
    expect((await manta('-n manta alarms -H -o alert,affects')).printed).toContain('NoPrimary    mshard/shard-2');
    expect((await manta('-n manta status')).printed).toMatch(/^list +broken/m);
  });

  it('asks for a switchover by annotation and reports what the operator answers', async () => {
    const running = manta('-n manta shard switchover 2 1 --max-lag 1024 -y');
    const asked = await answer(
      { state: 'Pending', message: 'draining' },
      { state: 'Done', message: 'pg-2-1 is primary, generation 4' },
    );
    expect(asked).toBe('switchover pg-2-1 --max-lag 1024');
    expect(await running).toMatchObject({ code: 0, printed: 'switchover done: pg-2-1 is primary, generation 4\n' });
  });

  it('fails with the operator’s words when it refuses', async () => {
    const running = manta('-n manta shard rebuild 2 pg-2-0 -y');
    expect(await answer({ state: 'Refused', message: 'pg-2-0 is the primary' })).toBe('rebuild pg-2-0');
    expect(await running).toMatchObject({ code: 1, told: expect.stringContaining('refused: pg-2-0 is the primary') });
  });

  it('shows how far a rebuild is', async () => {
    let heard = '';
    const running = manta('-n manta shard rebuild 2 2 --new-volume -y', {
      hear: text => {
        heard += text;
      },
    });
    expect(await answer({ state: 'Pending', message: 'copying' })).toBe('rebuild pg-2-2 --new-volume');
    const { request } = (await shard()).status ?? {};
    if (request === undefined) throw new Error('nobody took it');
    const peers = [{ name: 'pg-2-2', role: 'async', rebuild: { percent: 41 } }] as const;
    await show({ request, peers });
    await eventually(() => heard.includes('pg-2-2: 41 %'));
    await show({ request: { ...request, state: 'Done', message: 'pg-2-2 streams' } });
    expect(await running).toMatchObject({ code: 0, printed: 'rebuild done: pg-2-2 streams\n' });
  });

  it('takes a request back that nobody takes up, and one whose asker no longer waits', async () => {
    let nowMs = 0;
    const hurried: Clock = { now: () => Date.now(), monotonic: () => (nowMs += 20_000) };
    const silent = await manta('-n manta shard switchover 2 -y', { clock: hurried });
    expect(silent).toMatchObject({ code: 1, told: expect.stringContaining('kubectl logs deployment/manta-operator') });
    expect((await shard()).metadata.annotations?.[annotations.request]).toBeUndefined();

    const stop = new AbortController();
    const running = manta('-n manta shard switchover 2 -y', { signal: stop.signal });
    await answer();
    stop.abort();
    expect((await running).code).toBe(130);
    expect((await shard()).metadata.annotations?.[annotations.request]).toBeUndefined();
  });

  it('overwrites nobody else’s request', async () => {
    const other = { metadata: { annotations: { [annotations.request]: 'other rebuild pg-2-2' } } };
    await resources.admin.patch(shards, key, { type: 'merge', body: other });
    expect(await manta('-n manta shard switchover 2 -y')).toMatchObject({
      code: 1,
      told: expect.stringContaining('another request waits: "other rebuild pg-2-2"'),
    });
    expect((await shard()).metadata.annotations?.[annotations.request]).toBe('other rebuild pg-2-2');
  });

  it('changes nothing where nobody can be asked, nor when the answer is no', async () => {
    expect(await manta('-n manta shard freeze 2 --reason test')).toMatchObject({
      code: 2,
      told: expect.stringContaining('repeat with -y'),
    });
    expect(await manta('-n manta shard freeze 2 --reason test', { answers: 'n' })).toMatchObject({
      code: 1,
      told: expect.stringContaining('nothing was done'),
    });
    expect((await specOf()).freeze).toBeUndefined();
  });

  it('freezes and unfreezes, and waits until the operator says so', async () => {
    const freezing = manta('-n manta shard freeze 2 --reason maintenance', { answers: 'y' });
    await eventually(async () => (await specOf()).freeze !== undefined);
    await show({
      conditions: [
        { ...condition('Frozen', 'True', 'ByOperator'), observedGeneration: (await shard()).metadata.generation ?? 0 },
      ],
    });
    expect(await freezing).toMatchObject({ code: 0, printed: 'shard-2 frozen: maintenance\n' });
    const thawing = manta('-n manta shard unfreeze 2 -y');
    await eventually(async () => (await specOf()).freeze === undefined);
    await show({
      conditions: [
        { ...condition('Frozen', 'False', 'NotFrozen'), observedGeneration: (await shard()).metadata.generation ?? 0 },
      ],
    });
    expect(await thawing).toMatchObject({ code: 0, printed: 'shard-2 not frozen\n' });
  });

  it('forces a takeover only of a frozen shard, with the flag, and with the shard’s name typed', async () => {
    expect(await manta('-n manta shard force-takeover 2 1 -y')).toMatchObject({ code: 2 });
    expect(await manta('-n manta shard force-takeover 2 1 --accept-data-loss -y')).toMatchObject({
      code: 1,
      told: expect.stringContaining('shard freeze shard-2'),
    });
    await resources.admin.patch(shards, key, { type: 'merge', body: { spec: { freeze: { reason: 'incident' } } } });
    expect(await manta('-n manta shard force-takeover 2 1 --accept-data-loss', { answers: 'y' })).toMatchObject({
      code: 1,
    });
    const running = manta('-n manta shard force-takeover 2 1 --accept-data-loss', { answers: 'shard-2' });
    expect(await answer({ state: 'Done', message: '' })).toBe('force-takeover pg-2-1 --accept-data-loss');
    expect(await running).toMatchObject({ code: 0, printed: 'force-takeover done\n' });
  });

  it('sets a storage node read-only with a reason, and enables it again', async () => {
    const node = () => resources.admin.get(storageNodes, { namespace: 'manta', name: 'stor-2' });
    expect((await manta('-n manta storage readonly 2 -y')).code).toBe(2);
    expect(await manta('-n manta storage readonly 2 --reason slow -y')).toMatchObject({
      code: 0,
      printed: 'stor-2 read-only: slow\n',
    });
    expect((await node())?.spec).toMatchObject({ mode: 'ReadOnly', reason: 'slow' });
    expect((await manta('-n manta storage list -o id,mode,used')).printed).toBe(
      'ID      MODE      USED%\nstor-2  ReadOnly     44\n',
    );
    expect(await manta('-n manta storage enable stor-2 -y')).toMatchObject({ code: 0 });
    expect((await node())?.spec).toMatchObject({ mode: 'ReadWrite' });
    expect((await node())?.spec.reason).toBeUndefined();
  });
});
