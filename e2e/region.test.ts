import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectKubernetes } from '../lib/kubernetes/connect.ts';
import type { Kubernetes } from '../lib/kubernetes/kubernetes.ts';
import { locateKubernetes } from '../lib/kubernetes/location.ts';
import { systemClock } from '../lib/lifecycle/clock.ts';
import { mantaRegions } from '../lib/resources/types.ts';
import { run } from './cluster/command.ts';
import { createRegionClient, type RegionClient } from './region-client.ts';

/** From nothing to objects: the chart, the lab sample, and the client that people use. operations.md §3.8, §4.1. */
const CHART = join(import.meta.dirname, '..', 'charts', 'manta');
const NAMESPACE = 'manta';
const READY_S = 600;

let kubernetes: Kubernetes;
let client: RegionClient;
let appliedAt: number;

beforeAll(async () => {
  kubernetes = await connectKubernetes({ clock: systemClock }, { location: locateKubernetes(process.env) });
  await run(['helm', 'install', 'manta', CHART, '-n', NAMESPACE, '--create-namespace', '--wait', '--timeout', '3m'], {
    withinMs: 200_000,
  });
  appliedAt = performance.now();
  await run(['kubectl', 'apply', '-f', join(CHART, 'samples', 'lab.yaml')]);
}, 240_000);

afterAll(async () => {
  client?.close();
  await kubernetes?.close();
});

test(
  'a region comes up by itself, and says at each moment what it waits for',
  async () => {
    const said: string[] = [];
    for (;;) {
      const region = await kubernetes.get(mantaRegions, { namespace: NAMESPACE, name: 'lab' });
      const ready = region?.status?.conditions?.find(({ type }) => type === 'Ready');
      const seconds = (performance.now() - appliedAt) / 1_000;
      if (ready !== undefined && said.at(-1) !== ready.reason) {
        said.push(ready.reason);
        console.log(`${seconds.toFixed(1)} s: ${ready.reason}: ${ready.message}`);
      }
      if (ready?.status === 'True') break;
      if (seconds > READY_S) throw new Error(`not ready after ${READY_S} s: ${ready?.message}`);
      await sleep(500);
    }
    expect(said).toContain('NameserviceNotReady');
    expect(said.at(-1)).toBe('AllReady');
  },
  1_000 * READY_S + 30_000,
);

test('the manta command line puts, gets, lists and deletes through the Service of the load balancers', async () => {
  client = await createRegionClient(kubernetes, NAMESPACE);
  await client.sh('echo so much depends | mput -q ~~/stor/wheelbarrow.txt');
  console.log(`from apply to the first object: ${((performance.now() - appliedAt) / 1_000).toFixed(1)} s`);
  expect(await client.sh('mget -q ~~/stor/wheelbarrow.txt')).toBe('so much depends\n');
  expect(await client.sh('minfo ~~/stor/wheelbarrow.txt')).toMatch(/^durability-level: 2$/m);
  await client.sh('mmkdir -p ~~/stor/books/poetry; mln ~~/stor/wheelbarrow.txt ~~/stor/books/poetry/red');
  expect(await client.sh('mls ~~/stor')).toBe('books/\nwheelbarrow.txt\n');
  await client.sh('mrm ~~/stor/wheelbarrow.txt');
  expect(await client.sh('mget -q ~~/stor/books/poetry/red')).toBe('so much depends\n');
  await client.sh('mrm -r ~~/stor/books');
  expect(await client.sh('mls ~~/stor')).toBe('');
}, 180_000);
