import { pino } from 'pino';
import { useApiServer } from '../../lib/apiserver-process/testing.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { connectKubernetes } from '../../lib/kubernetes/connect.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import { type EndpointSlice, endpointSlices, namespaces } from '../../lib/kubernetes/resources.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { followService, type ServiceFollower } from './follow-service.ts';

const NAMESPACE = 'region';
const server = useApiServer();
let kubernetes: Kubernetes;
let follower: ServiceFollower | undefined;
let changes = 0;

beforeAll(async () => {
  const location = { kind: 'kubeconfig', files: [server().kubeconfigFile] } as const;
  kubernetes = await connectKubernetes({ clock: systemClock }, { location });
  await kubernetes.create(namespaces, { metadata: { name: NAMESPACE } });
});
afterAll(() => kubernetes.close());
afterEach(async () => {
  await follower?.stop();
  const { items } = await kubernetes.list(endpointSlices, { namespace: NAMESPACE });
  for (const { metadata } of items)
    await kubernetes.delete(endpointSlices, { namespace: NAMESPACE, name: metadata.name });
});

function follow(): void {
  changes = 0;
  follower = followService(
    { kubernetes, logger: pino({ level: 'silent' }) },
    { namespace: NAMESPACE, service: 'webapi', portName: 'http' },
    () => {
      changes += 1;
    },
  );
}

function aSlice(name: string, addresses: readonly string[], service = 'webapi'): EndpointSlice {
  return {
    metadata: { namespace: NAMESPACE, name, labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: addresses.map(address => ({ addresses: [address], conditions: { ready: true } })),
  };
}

const put = (slice: EndpointSlice) =>
  kubernetes.apply(
    endpointSlices,
    { ...slice, metadata: { ...slice.metadata, name: slice.metadata?.name ?? '' } },
    { fieldManager: 'test', force: true },
  );
const following = (...addresses: string[]) =>
  eventually(() => expect(follower?.backends()?.map(({ address }) => address)).toEqual(addresses), 20_000);

describe('following a Service', () => {
  it('begins with what is there, and with nothing where nothing is', async () => {
    follow();
    await following();
    expect(changes).toBe(1);
    await follower?.stop();
    await put(aSlice('one', ['10.0.0.1']));
    follow();
    await following('10.0.0.1');
  });

  it('sees slices come, change and go, but not those of other Services', async () => {
    follow();
    await put(aSlice('one', ['10.0.0.1']));
    await put(aSlice('other', ['10.0.0.99'], 'storage'));
    await following('10.0.0.1');
    await put(aSlice('two', ['10.0.0.3']));
    await following('10.0.0.1', '10.0.0.3');
    await put(aSlice('one', ['10.0.0.1', '10.0.0.2']));
    await following('10.0.0.1', '10.0.0.2', '10.0.0.3');
    await kubernetes.delete(endpointSlices, { namespace: NAMESPACE, name: 'one' });
    await following('10.0.0.3');
  });

  it('says nothing when slices change and addresses do not', async () => {
    await put(aSlice('one', ['10.0.0.1']));
    follow();
    await following('10.0.0.1');
    await put({ ...aSlice('one', ['10.0.0.1']), metadata: { ...aSlice('one', []).metadata, annotations: { a: 'b' } } });
    await put(aSlice('two', ['10.0.0.2']));
    await following('10.0.0.1', '10.0.0.2');
    expect(changes).toBe(2);
  });

  it('keeps the last list while the API server is gone, and catches up when it is back', async () => {
    await put(aSlice('one', ['10.0.0.1']));
    follow();
    await following('10.0.0.1');
    await server().process.kill();
    await following('10.0.0.1');
    await server().process.start();
    await put(aSlice('one', ['10.0.0.2']));
    await following('10.0.0.2');
  }, 60_000);
});
