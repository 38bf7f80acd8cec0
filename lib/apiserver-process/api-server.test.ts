import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { eventually } from '../eventually/eventually.ts';
import { connectKubernetes } from '../kubernetes/connect.ts';
import type { Kubernetes } from '../kubernetes/kubernetes.ts';
import type { KubernetesObject } from '../kubernetes/object.ts';
import { defineResource } from '../kubernetes/resource.ts';
import { configMaps, namespaces, pods } from '../kubernetes/resources.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { startApiServer } from './api-server.ts';
import { kubeconfigOf } from './kubeconfig.ts';
import { useApiServer } from './testing.ts';

const deps = { logger: pino({ level: 'silent' }), clock: systemClock };
/** On an idle machine a start takes three seconds. */
const STARTS_WITHIN_MS = 120_000;

const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1' };
const roles = defineResource({ ...rbac, kind: 'Role', plural: 'roles' });
const roleBindings = defineResource({ ...rbac, kind: 'RoleBinding', plural: 'rolebindings' });
const admissionPolicies = defineResource({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingAdmissionPolicy',
  plural: 'validatingadmissionpolicies',
  namespaced: false,
});
const admissionBindings = defineResource({
  ...admissionPolicies,
  kind: 'ValidatingAdmissionPolicyBinding',
  plural: 'validatingadmissionpolicybindings',
});

const api = useApiServer({ tokens: [{ token: 'let-me-in', user: { name: 'ada', groups: ['readers', 'staff'] } }] });
const clients: Kubernetes[] = [];
let dir: string;
let admin: Kubernetes;
let namespace: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'manta-api-server-test-'));
  admin = await connect(api().kubeconfig);
});
beforeEach(async () => {
  namespace = (await admin.create(namespaces, { metadata: { name: '', generateName: 'test-' } })).metadata.name;
});
afterAll(async () => {
  await Promise.all(clients.map(client => client.close()));
  rmSync(dir, { recursive: true, force: true });
});

async function connect(kubeconfig: string): Promise<Kubernetes> {
  const file = join(dir, `kubeconfig-${clients.length}`);
  writeFileSync(file, kubeconfig, { mode: 0o600 });
  const client = await connectKubernetes(deps, { location: { kind: 'kubeconfig', files: [file] } });
  clients.push(client);
  return client;
}

/** Lets somebody read the ConfigMaps of the test's namespace. */
async function letRead(subject: { kind: 'User' | 'Group'; name: string }): Promise<void> {
  const apiGroup = 'rbac.authorization.k8s.io';
  const metadata = { name: 'reader', namespace };
  const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list'] }];
  const binding = { roleRef: { apiGroup, kind: 'Role', name: 'reader' }, subjects: [{ ...subject, apiGroup }] };
  await admin.create<KubernetesObject>(roles, { metadata, ...{ rules } });
  await admin.create<KubernetesObject>(roleBindings, { metadata, ...binding });
}

const canRead = async (client: Kubernetes) => {
  try {
    await client.list(configMaps, { namespace });
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === 'ApiForbidden') return false;
    throw error;
  }
};

async function drain(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z');
  } catch {
    return false;
  }
}

describe('startApiServer', () => {
  it('lets its admin do everything, and a user what RBAC says', async () => {
    const user = await connect(await api().kubeconfigFor({ name: 'grace', groups: ['staff'] }));
    expect(await canRead(admin)).toBe(true);
    expect(await canRead(user)).toBe(false);
    await letRead({ kind: 'User', name: 'grace' });
    await eventually(() => canRead(user));
    const wanted = user.create(configMaps, { metadata: { name: 'mine', namespace } });
    await expect(wanted).rejects.toMatchObject({ code: 'ApiForbidden' });
  });

  it('knows a token, and the groups of whom it stands for', async () => {
    const user = await connect(kubeconfigOf(api(), { token: 'let-me-in' }));
    expect(await canRead(user)).toBe(false);
    await letRead({ kind: 'Group', name: 'staff' });
    await eventually(() => canRead(user));
    const stranger = await connect(kubeconfigOf(api(), { token: 'guessed' }));
    await expect(canRead(stranger)).rejects.toMatchObject({ code: 'ApiUnauthorized' });
  });

  it('checks what it is told: schemas, and the admission policies that are in force', async () => {
    const wrong = { metadata: { name: 'wrong', namespace }, data: { key: 1 } };
    await expect(admin.create(configMaps, wrong as object as { metadata: { name: string } })).rejects.toThrow();
    const policy = {
      metadata: { name: namespace },
      spec: {
        matchConstraints: {
          resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }],
        },
        validations: [{ expression: "object.metadata.name != 'forbidden'", message: 'this name is forbidden' }],
      },
    };
    const binding = {
      metadata: { name: namespace },
      spec: {
        policyName: namespace,
        validationActions: ['Deny'],
        matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } },
      },
    };
    await admin.create(admissionPolicies, policy);
    await admin.create(admissionBindings, binding);
    const forbidden = { metadata: { name: 'forbidden', namespace } };
    await eventually(() =>
      expect(admin.create(configMaps, forbidden, { dryRun: true })).rejects.toThrow('this name is forbidden'),
    );
    await admin.create(configMaps, { metadata: { name: 'allowed', namespace } });
  });

  it('takes a pod without a service account having been made for it', async () => {
    const containers = [{ name: 'main', image: 'example.test/image' }];
    const pod = await admin.create(pods, { metadata: { name: 'alone', namespace }, spec: { containers } });
    expect(pod.spec?.tolerations).toContainEqual(expect.objectContaining({ key: 'node.kubernetes.io/not-ready' }));
  });

  it(
    'keeps its address and what it was told over an orderly stop, which ends its watches in order',
    async () => {
      await admin.create(configMaps, { metadata: { name: 'kept', namespace }, data: { is: 'here' } });
      const { resourceVersion } = await admin.list(configMaps, { namespace });
      const watch = admin.watch(configMaps, { namespace, resourceVersion });
      const first = watch.next();
      await admin.create(configMaps, { metadata: { name: 'seen', namespace } });
      expect((await first).value).toMatchObject({ object: { metadata: { name: 'seen' } } });
      const rest = drain(watch);
      const before = api().process.pid;
      await api().process.restart();
      expect(api().process.pid).not.toBe(before);
      await rest;
      expect((await admin.get(configMaps, { name: 'kept', namespace }))?.data).toEqual({ is: 'here' });
    },
    STARTS_WITHIN_MS,
  );

  it(
    'keeps what it was told over a kill',
    async () => {
      await admin.create(configMaps, { metadata: { name: 'kept', namespace }, data: { is: 'here' } });
      await api().process.kill();
      expect(api().process.pid).toBeUndefined();
      await api().process.start();
      expect((await admin.get(configMaps, { name: 'kept', namespace }))?.data).toEqual({ is: 'here' });
    },
    STARTS_WITHIN_MS,
  );

  it('falls silent while it is frozen, and goes on', async () => {
    await api().process.pause();
    const asked = admin.get(configMaps, { name: 'any', namespace }, { timeoutMs: 300 });
    await expect(asked).rejects.toMatchObject({ code: 'ApiDeadline' });
    api().process.resume();
    await eventually(async () => (await admin.get(configMaps, { name: 'any', namespace })) === undefined);
  });

  it('says why it does not start, and leaves nothing running', async () => {
    const own = join(dir, 'broken');
    await expect(startApiServer(deps, { dir: own, args: ['--no-such-flag'] })).rejects.toMatchObject({
      code: 'ApiServerStart',
      message: /no-such-flag/,
    });
    expect(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })).not.toContain(own);
  });

  it(
    'ends, and its etcd with it, when the process that started it is killed',
    async () => {
      if (spawnSync('setpriv', ['--pdeathsig', 'KILL', '--', 'true']).status !== 0) return;
      const script = `
      import pino from 'pino';
      import { startApiServer } from '${join(import.meta.dirname, 'api-server.ts')}';
      import { systemClock } from '${join(import.meta.dirname, '..', 'lifecycle', 'clock.ts')}';
      const logger = pino({ level: 'silent' });
      const api = await startApiServer({ logger, clock: systemClock }, { dir: process.argv[1] });
      console.log(api.process.pid, api.etcd.members[0].pid);
      process.kill(process.pid, 'SIGKILL');`;
      const run = '"$0" --input-type=module --no-warnings -e "$1" "$2" || true';
      const printed = execFileSync('sh', ['-c', run, process.execPath, script, join(dir, 'orphan')], {
        encoding: 'utf8',
        cwd: import.meta.dirname,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const pids = printed.trim().split(' ').map(Number);
      expect(pids).toEqual([expect.any(Number), expect.any(Number)]);
      for (const pid of pids) {
        expect(pid).toBeGreaterThan(0);
        await eventually(() => !isRunning(pid));
      }
    },
    STARTS_WITHIN_MS,
  );
});
