import { useApiServer } from '../../lib/apiserver-process/testing.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { connectKubernetes } from '../../lib/kubernetes/connect.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import { events, leases } from '../../lib/kubernetes/resources.ts';
import { type ApiProxy, createApiProxy } from '../../lib/kubernetes/testing-proxy.ts';
import { type Clock, systemClock } from '../../lib/lifecycle/clock.ts';
import { createEventRecorder, type EventRecorder } from './event-recorder.ts';
import { createLeaderElector, type LeaderElector } from './leader-election.ts';
import { createManualTime, silent, testMetrics } from './testing.ts';

const server = useApiServer();
const ending: (() => unknown)[] = [];
let direct: Kubernetes;
let count = 0;
let name: string;
const namespace = 'default';

beforeAll(async () => {
  const location = { kind: 'kubeconfig', files: [server().kubeconfigFile] } as const;
  direct = await connectKubernetes({ clock: systemClock }, { location });
});
afterAll(() => direct.close());
beforeEach(() => {
  count += 1;
  name = `lease-${count}`;
});
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

const lease = async () => (await direct.get(leases, { namespace, name }))?.spec;

interface Candidate {
  readonly elector: LeaderElector;
  readonly proxy: ApiProxy;
  readonly told: string[];
}

/** With a way to the server of its own, and times of a second. */
async function aCandidate(identity: string, clock: Clock = systemClock): Promise<Candidate> {
  const proxy = await createApiProxy(server());
  const kubernetes = await connectKubernetes({ clock: systemClock }, { location: proxy.location });
  const { metrics } = testMetrics();
  const times = { leaseMs: 2_000, renewDeadlineMs: 1_200, retryMs: 100 };
  const elector = createLeaderElector(
    { kubernetes, clock, logger: silent, metrics },
    { namespace, name, identity, ...times },
  );
  const told: string[] = [];
  elector.start({ onElected: () => told.push('elected'), onLost: () => told.push('lost') });
  ending.push(proxy.close, kubernetes.close, elector.stop);
  return { elector, proxy, told };
}

async function elected(candidate: Candidate): Promise<void> {
  await eventually(() => expect(candidate.elector.isLeader()).toBe(true));
}

describe('an election by a Lease', () => {
  it('has one winner, who renews, and whose lease others leave alone', async () => {
    const candidates = await Promise.all(['a', 'b', 'c'].map(identity => aCandidate(identity)));
    await eventually(() => expect(candidates.filter(({ elector }) => elector.isLeader())).toHaveLength(1));
    const first = await lease();
    expect(first).toMatchObject({ leaseDurationSeconds: 2, leaseTransitions: 0 });
    await eventually(async () => expect((await lease())?.renewTime).not.toBe(first?.renewTime));
    expect((await lease())?.acquireTime).toBe(first?.acquireTime);
    expect(candidates.flatMap(({ told }) => told)).toEqual(['elected']);
    await eventually(() =>
      expect(candidates.every(({ elector }) => elector.holder() === first?.holderIdentity)).toBe(true),
    );
  });

  it('passes on at once when the winner stops', async () => {
    const first = await aCandidate('a');
    await elected(first);
    const second = await aCandidate('b');
    await eventually(() => expect(second.elector.holder()).toBe('a'));
    await first.elector.stop();
    expect([first.elector.isLeader(), (await lease())?.holderIdentity]).toEqual([false, '']);
    const from = performance.now();
    await elected(second);
    expect(performance.now() - from).toBeLessThan(1_500);
    expect(await lease()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
    expect(first.told).toEqual(['elected']);
  });

  it('ends for a winner that is cut off before anybody else wins, and for good', async () => {
    const first = await aCandidate('a');
    await elected(first);
    const second = await aCandidate('b');
    await first.proxy.cut();
    await eventually(() => {
      if (first.elector.isLeader() && second.elector.isLeader()) throw new Error('two leaders');
      return second.elector.isLeader();
    });
    expect(first.told).toEqual(['elected', 'lost']);
    await first.proxy.restore();
    const asked = first.proxy.requests.length;
    await eventually(async () => expect(await lease()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 }));
    expect([first.elector.isLeader(), first.proxy.requests.length]).toEqual([false, asked]);
  });

  it('survives single failures of its renewals: refusals, resets, lost answers', async () => {
    const first = await aCandidate('a');
    await elected(first);
    const { proxy } = first;
    proxy.answer(/PUT .*leases/, { status: 500 });
    proxy.loseAnswer(/PUT .*leases/);
    const seen = proxy.requests.length;
    await eventually(() => expect(proxy.requests.slice(seen).filter(line => line.startsWith('PUT'))).toHaveLength(6));
    expect([first.told, first.elector.isLeader()]).toEqual([['elected'], true]);
  });

  it('ends at once for a winner whose lease somebody takes away', async () => {
    const first = await aCandidate('a');
    await elected(first);
    const body = { spec: { holderIdentity: 'somebody' } };
    await direct.patch(leases, { namespace, name }, { type: 'merge', body });
    await eventually(() => expect(first.told).toEqual(['elected', 'lost']), 1_000);
    expect((await lease())?.holderIdentity).toBe('somebody');
  });

  it('believes no clock but its own: neither dates in the lease nor a jump of the wall clock matter', async () => {
    const past = '2001-01-01T00:00:00.000000Z';
    const spec = { holderIdentity: 'alive', leaseDurationSeconds: 2, acquireTime: past, renewTime: past };
    await direct.create(leases, { metadata: { namespace, name }, spec });
    const from = performance.now();
    const first = await aCandidate('a', { ...systemClock, now: () => Date.UTC(2090, 0, 1) });
    await elected(first);
    expect(performance.now() - from).toBeGreaterThan(2_000);
    expect((await lease())?.renewTime).toMatch(/^2090/);
  });

  it('has no winner who stood still for longer than the lease', async () => {
    const time = createManualTime();
    const first = await aCandidate('a', time.clock);
    await elected(first);
    time.pass(1_300);
    expect(first.elector.isLeader()).toBe(false);
  });
});

describe('events', () => {
  type Reason = 'Moved' | 'Failed';
  const subject = () => direct.get(leases, { namespace, name });

  async function aRecorder() {
    const { metrics } = testMetrics();
    const time = createManualTime();
    const proxy = await createApiProxy(server());
    const kubernetes = await connectKubernetes({ clock: systemClock }, { location: proxy.location });
    const recorder: EventRecorder<Reason> = createEventRecorder(
      { kubernetes, clock: time.clock, logger: silent, metrics },
      { controller: 'example.org/test', instance: 'test-0' },
    );
    recorder.start();
    await direct.create(leases, { metadata: { namespace, name }, spec: {} });
    const object = await subject();
    if (object === undefined) throw new Error('it was just created');
    ending.push(proxy.close, kubernetes.close, () => recorder.stop(1_000));
    const told = { type: 'Normal', reason: 'Moved', action: 'Moving', note: 'it moved' } as const;
    const list = async () => {
      const { items } = await direct.list(events, { namespace, fieldSelector: `regarding.uid=${object.metadata.uid}` });
      return items;
    };
    return { recorder, time, object, told, proxy, list };
  }

  it('are written about their object', async () => {
    const { recorder, object, told, list } = await aRecorder();
    recorder.record(leases, object, told);
    await eventually(async () => expect(await list()).toHaveLength(1));
    expect((await list())[0]).toMatchObject({
      type: 'Normal',
      reason: 'Moved',
      action: 'Moving',
      note: 'it moved',
      reportingController: 'example.org/test',
      reportingInstance: 'test-0',
      regarding: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace, name, uid: object.metadata.uid },
    });
  });

  it('that say the same are counted, at most once a minute', async () => {
    const { recorder, time, object, told, proxy, list } = await aRecorder();
    for (let times = 0; times < 10; times += 1) recorder.record(leases, object, told);
    recorder.record(leases, object, { ...told, note: 'it moved elsewhere' });
    await eventually(async () => expect(await list()).toHaveLength(2));
    time.pass(61_000);
    recorder.record(leases, object, told);
    await recorder.stop(1_000);
    const written = (await list()).find(({ note }) => note === 'it moved');
    expect(written?.series?.count).toBe(11);
    expect(proxy.requests.filter(line => line.startsWith('PATCH'))).toHaveLength(1);
  });

  it('are kept while the server is away, and do not hold up anybody', async () => {
    const { recorder, object, told, proxy, list } = await aRecorder();
    await proxy.cut();
    recorder.record(leases, object, told);
    await proxy.restore();
    await recorder.stop(2_000);
    expect(await list()).toHaveLength(1);
  });

  it('of one object are not written without end', async () => {
    const { recorder, object, told, list } = await aRecorder();
    for (let times = 0; times < 100; times += 1) recorder.record(leases, object, { ...told, note: `step ${times}` });
    await recorder.stop(5_000);
    expect(await list()).toHaveLength(25);
  });
});
