import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { type ApiServer, startApiServer } from '../../lib/apiserver-process/api-server.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { connectKubernetes } from '../../lib/kubernetes/connect.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import type { KubernetesLocation } from '../../lib/kubernetes/location.ts';
import { configMaps, namespaces } from '../../lib/kubernetes/resources.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { createCache } from '../../operator/runtime/cache.ts';
import { createRuntimeMetrics } from '../../operator/runtime/metrics.ts';
import { installThings, things } from '../../operator/runtime/testing-things.ts';
import { compileOperator, launchOperator, type OperatorProcess } from './operator-process.ts';

const HELP = `npm run bench -- operator [--objects 10000] [--changes 1000] [--per-second 20] [--workers 8] [--node-flags=…]

An operator on the project's runtime, as a process of its own, with many custom resources in a real API server: each gets a
finalizer, a child and a status. Then single specs change, and it is measured how long it takes until the child has changed.
API server, etcd and operator share the processors.
`;

const TOKEN = 'operator';
const NAMESPACE = 'bench';

/** `npm run bench -- operator`. Returns the exit code. */
export async function operator(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      objects: { type: 'string', default: '10000' },
      changes: { type: 'string', default: '1000' },
      'per-second': { type: 'string', default: '20' },
      workers: { type: 'string', default: '8' },
      'node-flags': { type: 'string', default: '--max-semi-space-size=1 --max-old-space-size=96' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const dir = mkdtempSync(join(tmpdir(), 'manta-bench-operator-'));
  const logger = pino({ level: 'warn' });
  const user = { name: TOKEN, groups: ['system:masters'] };
  const server = await startApiServer({ logger, clock: systemClock }, { dir, tokens: [{ token: TOKEN, user }] });
  try {
    const location: KubernetesLocation = { kind: 'kubeconfig', files: [server.kubeconfigFile] };
    const kubernetes = await connectKubernetes({ clock: systemClock }, { location, connections: 16 });
    await fill(kubernetes, Number(values.objects));
    const nodeFlags = values['node-flags'].split(' ').filter(flag => flag !== '');
    const own = { location: podLocation(server, dir), namespace: NAMESPACE, identity: 'one' };
    const options = { nodeFlags, compileCache: join(dir, 'compile-cache') };
    compileOperator(options.compileCache);
    const launch = () => launchOperator({ ...own, maxConcurrentReconciles: Number(values.workers) }, options);
    await firstLife(await launch(), Number(values.objects));
    await secondLife(await launch(), kubernetes, {
      objects: Number(values.objects),
      changes: Number(values.changes),
      perSecond: Number(values['per-second']),
    });
    await kubernetes.close();
  } finally {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  return 0;
}

/** As a pod has it, so that the operator loads what it loads in a pod. */
function podLocation(server: ApiServer, parent: string): KubernetesLocation {
  const dir = join(parent, 'service-account');
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'ca.crt'), server.authority);
  writeFileSync(join(dir, 'token'), TOKEN);
  const { hostname: host, port } = new URL(server.url);
  return { kind: 'in-cluster', host, port, dir };
}

const nameOf = (index: number) => `thing-${String(index).padStart(5, '0')}`;

async function fill(kubernetes: Kubernetes, objects: number): Promise<void> {
  await installThings(kubernetes);
  await kubernetes.create(namespaces, { metadata: { name: NAMESPACE } });
  let next = 0;
  const text = 'x'.repeat(1_000);
  const fillers = Array.from({ length: 16 }, async () => {
    for (let index = next++; index < objects; index = next++) {
      await kubernetes.create(things, {
        metadata: { namespace: NAMESPACE, name: nameOf(index), labels: { 'example.org/of': `group-${index % 100}` } },
        spec: { size: 0, text },
      });
    }
  });
  await Promise.all(fillers);
}

async function firstLife(operator: OperatorProcess, objects: number): Promise<void> {
  const from = performance.now();
  await eventually(() => isSettled(operator, objects), 900_000);
  console.log(`first life: ${objects} objects acted on in ${seconds(from)} s, ${memory(operator)}`);
  await operator.stop();
}

async function secondLife(
  operator: OperatorProcess,
  kubernetes: Kubernetes,
  load: { readonly objects: number; readonly changes: number; readonly perSecond: number },
): Promise<void> {
  const from = performance.now();
  await eventually(() => isSettled(operator, load.objects), 300_000);
  const writes = await operator.metric('rest_client_requests_total', 'method="PATCH"');
  console.log(`second life: looked at all of them in ${seconds(from)} s, wrote ${writes} times, ${memory(operator)}`);
  const times = await changeSpecs(kubernetes, load);
  const at = (share: number) => Math.round(times[Math.floor((times.length - 1) * share)] ?? 0);
  console.log(
    `${times.length} changes, ${load.perSecond}/s: acted on p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms, ${memory(operator)}`,
  );
  await sleep(60_000);
  console.log(`a minute later: ${memory(operator)}`);
  await operator.stop();
}

async function isSettled(operator: OperatorProcess, objects: number): Promise<boolean> {
  await sleep(500);
  const done = await operator.metric('controller_runtime_reconcile_total', 'result="success"');
  const waiting = await operator.metric('workqueue_depth');
  const active = await operator.metric('controller_runtime_active_workers');
  return done >= objects && waiting + active === 0;
}

/** Milliseconds from the answer to a change of a spec to the child's change as somebody else sees it, sorted. */
async function changeSpecs(
  kubernetes: Kubernetes,
  { objects, changes, perSecond }: { objects: number; changes: number; perSecond: number },
): Promise<readonly number[]> {
  const metrics = createRuntimeMetrics(new Registry());
  const deps = { kubernetes, clock: systemClock, random: Math.random, logger: pino({ level: 'warn' }) };
  const cache = createCache({ ...deps, metrics: metrics.reflector }, { fieldManagers: [] });
  const changedAt = new Map<string, number>();
  const actedAt = new Map<string, number>();
  cache.informer(configMaps, { namespace: NAMESPACE }).subscribe(({ object }) => {
    if (object.data?.size === '1') actedAt.set(object.metadata.name, performance.now());
  });
  cache.start();
  await eventually(() => cache.hasSynced(), 60_000);
  for (let index = 0; index < changes; index += 1) {
    const next = sleep(1_000 / perSecond);
    const name = nameOf(Math.floor((index * objects) / changes));
    const body = { spec: { size: 1 } };
    await kubernetes.patch(things, { namespace: NAMESPACE, name }, { type: 'merge', body });
    changedAt.set(name, performance.now());
    await next;
  }
  await eventually(() => actedAt.size === changedAt.size, 60_000);
  await cache.stop();
  return [...changedAt].map(([name, at]) => Math.max(0, (actedAt.get(name) ?? 0) - at)).sort((a, b) => a - b);
}

const seconds = (from: number) => ((performance.now() - from) / 1_000).toFixed(1);

function memory(operator: OperatorProcess): string {
  const { now, most } = operator.memory();
  return `${Math.round(now)} MB resident (most ${Math.round(most)})`;
}
