import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { eventually } from '../../lib/eventually/eventually.ts';
import { processesIn } from '../cluster/cgroups.ts';
import { clusterPlace, kubeconfigOf } from '../cluster/place.ts';

/** A cluster of its own beside the one that other tests run on. */
const env = { ...process.env, MANTA_E2E_NAME: 'manta-e2e-spare' };
const place = clusterPlace(env);
const command = ['--no-warnings', join(import.meta.dirname, '..', 'main.ts')];

function e2e(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...command, ...args], {
    ...{ env, encoding: 'utf8', timeout: 170_000 },
  });
  if (status !== 0) throw new Error(`${args[0]}: ${stdout}${stderr}`);
  return stdout;
}

function output(...argv: string[]): string {
  const [program = '', ...args] = argv;
  return execFileSync(program, args, {
    encoding: 'utf8',
    timeout: 30_000,
    env: { ...env, KUBECONFIG: kubeconfigOf(place) },
  });
}

/** Everything on this machine that a cluster could have changed. */
function traces(): object {
  const sysctls = [
    'vm/overcommit_memory',
    'vm/panic_on_oom',
    'kernel/panic',
    'kernel/panic_on_oops',
    'net/ipv4/ip_forward',
  ];
  return {
    processes: processesIn(place.name),
    cgroups: output('find', '/sys/fs/cgroup', '-name', place.name),
    mounts: readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter(line => line.includes(place.name)),
    interfaces: readdirSync('/sys/class/net'),
    routes: output('ip', 'route', 'show', 'table', 'all'),
    namespaces: output('ip', 'netns', 'list'),
    rules: output('nft', 'list', 'ruleset'),
    sysctls: sysctls.map(name => readFileSync(`/proc/sys/${name}`, 'utf8')),
    directories: ['/run', '/var/lib', '/var/log', '/etc', '/srv', '/opt'].map(directory => readdirSync(directory)),
    hasState: existsSync(place.dir),
  };
}

let before: object;

beforeAll(() => {
  e2e('down');
  before = traces();
}, 180_000);
afterAll(() => void e2e('down'), 180_000);

it('keeps a cluster that this machine can use, and removes all of it', () => {
  const told = e2e('up', '--nodes', '1', '--bare');
  const kubectl = (...args: string[]) => output(join(place.dir, 'programs/bin/kubectl'), ...args);
  expect(told).toContain(kubeconfigOf(place));
  expect(kubectl('get', 'nodes', '--no-headers')).toMatch(/^n1 +Ready/);
  const proxy = /-x (\S+)/.exec(told)?.[1] ?? '';
  const health = ['-sfm5', '-x', proxy, '--retry', '9', '--retry-all-errors'];
  const pod = kubectl('-n', 'kube-system', 'get', 'pods', '-o', 'jsonpath={.items[0].status.podIP}');
  expect(output('curl', ...health, `http://${pod}:8080/health`)).toBe('OK');
  const api = 'kubernetes.default.svc.cluster.local';
  expect(output('curl', ...health, '-kp', `https://${api}/livez`)).toBe('ok');

  expect(e2e('run', 'kubectl', 'get', 'nodes', '-o', 'name')).toBe('node/n1\n');
  expect(e2e('node', 'exec', 'n1', 'hostname')).toBe('n1\n');
  expect(e2e('status')).toMatch(/control plane .*MiB\n +n1 +zone-a +\d+ MiB\n/);
  const supervisor = Math.min(...processesIn(place.name));
  expect(e2e('up', '--bare')).toContain(kubeconfigOf(place));
  expect(Math.min(...processesIn(place.name))).toBe(supervisor);

  expect(e2e('down')).not.toContain('none');
  expect(traces()).toEqual(before);
  expect(e2e('down')).toContain('there was none');
}, 240_000);

it('makes one cluster at a time, and removes what it had left when it was killed meanwhile', async () => {
  const harness = spawn(process.execPath, [...command, 'up', '--nodes', '1', '--bare'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface(harness.stdout)) if (line.includes('API server')) break;
  expect(processesIn(place.name).length).toBeGreaterThan(0);
  expect(() => e2e('down')).toThrow(/another process/);
  harness.kill('SIGKILL');
  await once(harness, 'exit');
  expect(e2e('up', '--nodes', '1', '--bare')).toContain('removed what an earlier cluster had left');
  expect(e2e('node', 'exec', 'n1', 'hostname')).toBe('n1\n');
  e2e('down');
  expect(traces()).toEqual(before);
}, 240_000);

it('lets a cluster that is not to be kept end with the process that has started it, even when that is killed', async () => {
  const script = `
    import { clusterPlace } from './e2e/cluster/place.ts';
    import { ensureUp } from './e2e/commands.ts';
    import { createProgress } from './images/coal/progress.ts';
    import { systemClock } from './lib/lifecycle/clock.ts';
    const print = text => process.stdout.write(text);
    const progress = createProgress({ clock: systemClock, write: print });
    const deps = { place: clusterPlace(process.env), env: process.env, print, progress };
    await ensureUp(deps, { nodes: 1, images: [], isKept: false });
    process.kill(process.pid, 'SIGKILL');`;
  const harness = spawn(process.execPath, ['--no-warnings', '--input-type=module', '--eval', script], {
    ...{ env, cwd: join(import.meta.dirname, '../..'), stdio: 'inherit' as const },
  });
  expect(await once(harness, 'exit')).toEqual([null, 'SIGKILL']);
  await eventually(() => processesIn(place.name).length === 0);
  e2e('down');
  expect(traces()).toEqual(before);
}, 240_000);
