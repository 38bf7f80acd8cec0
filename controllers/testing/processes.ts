import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { parse, stringify } from 'yaml';
import { createPeerProcess } from '../../images/postgres/local/peer-process.ts';
import { findEtcd } from '../../lib/etcd-process/find-etcd.ts';
import { freePorts } from '../../lib/etcd-process/ports.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import type { Stored } from '../../lib/kubernetes/object.ts';
import { configMaps, type Pod } from '../../lib/kubernetes/resources.ts';
import { createServerProcess } from '../../lib/lifecycle/server-process.ts';
import { labels, nameserviceHost } from '../names.ts';
import { openToAll } from './pod-files.ts';

const logger = pino({ level: 'silent' });
const ROOT = resolve(import.meta.dirname, '..', '..');
const NODE = join(ROOT, 'node_modules', 'node', 'bin', 'node');

/** A container that runs as a process of this machine. */
export interface PodProcess {
  /** What the pod's readiness probe would find. */
  isReady(): Promise<boolean>;
  stop(): Promise<void>;
}

/** Ports of this machine that stand for those of pods: there is one loopback address for all of them. */
export interface Ports {
  of(pod: string, port: number): Promise<number>;
  /** As handed out already; 0 for none. */
  known(pod: string, port: number): number;
}

export function createPorts(): Ports {
  const known = new Map<string, number>();
  return {
    known: (pod, port) => known.get(`${pod}:${port}`) ?? 0,
    async of(pod, port) {
      const key = `${pod}:${port}`;
      const [free = 0] = known.has(key) ? [known.get(key)] : await freePorts(1);
      known.set(key, free);
      return free;
    },
  };
}

/** What a container is started from. */
export interface Container {
  readonly kubernetes: Kubernetes;
  readonly pod: Stored<Pod>;
  /** The pod's own directory. */
  readonly dir: string;
  /** Directories by the paths that the container knows them by. */
  readonly mounted: ReadonlyMap<string, string>;
  readonly ports: Ports;
}

/** Starts what the pod's image would run, told what its spec and its configuration say, with the addresses of this machine. */
export async function startContainer(container: Container): Promise<PodProcess> {
  const program = container.pod.metadata.labels?.[labels.service];
  switch (program) {
    case 'nameservice':
      return startEtcd(container);
    case 'postgres':
      return startPeer(container);
    case 'webapi':
      return startProgram(container, 'webapi', localWebapi);
    case 'storage':
      return startProgram(container, 'storage', localStorage);
    default:
      // Nothing else has a process that the controllers talk to.
      return { isReady: async () => true, stop: async () => {} };
  }
}

async function startEtcd({ kubernetes, pod, dir, mounted, ports }: Container): Promise<PodProcess> {
  const { name, namespace = '' } = pod.metadata;
  const [client, peer] = [await ports.of(name, 2379), await ports.of(name, 2380)];
  const environment: Record<string, string> = {};
  for (const { name: variable, value, valueFrom } of pod.spec?.containers[0]?.env ?? []) {
    const from = valueFrom?.configMapKeyRef;
    const found = from && (await kubernetes.get(configMaps, { namespace, name: from.name ?? '' }));
    const text = value ?? (from === undefined ? name : (found?.data?.[from.key] ?? ''));
    environment[variable] = localText(text.replaceAll('$(POD_NAME)', name), mounted)
      .replaceAll(nameserviceHost(name, namespace), 'localhost')
      .replaceAll('0.0.0.0', '127.0.0.1')
      .replaceAll(':2379', `:${client}`)
      .replaceAll(':2380', `:${peer}`);
  }
  const program = await findEtcd({ logger });
  const flags = Object.entries(environment).filter(([variable]) => variable.startsWith('ETCD_'));
  const server = createServerProcess({
    name,
    command: ['env', ...flags.map(([variable, value]) => `${variable}=${value}`), program, '--unsafe-no-fsync'],
    logFile: join(dir, 'log', 'etcd.log'),
    isReady: () => true,
    startWithinMs: 10_000,
    failureCode: 'EtcdStart',
  });
  await server.start();
  const log = () => readFileSync(server.logFile, 'utf8');
  return { isReady: async () => log().includes('ready to serve client requests'), stop: () => server.kill() };
}

async function startPeer(container: Container): Promise<PodProcess> {
  const { pod, dir, mounted, ports } = container;
  const { name } = pod.metadata;
  const [postgres, sitter] = [await ports.of(name, 5432), await ports.of(name, 5433)];
  for (const path of ['/data', '/wal', '/run/sitter']) openToAll(mounted.get(path) ?? '');
  const configFile = writeConfig(container, config => ({
    ...config,
    id: name,
    host: '127.0.0.1',
    postgres: { ...(config.postgres as object), port: postgres, listen: '127.0.0.1' },
    sitter: { port: sitter, listen: '127.0.0.1' },
    etcd: {
      ...(config.etcd as object),
      tls: { ...(config.etcd as { tls: object }).tls, serverName: 'localhost' },
    },
  }));
  const data = mounted.get('/data') ?? '';
  mkdirSync(join(data, 'sitter'), { recursive: true });
  const peer = createPeerProcess(
    { logger },
    {
      id: name,
      program: [NODE, join(ROOT, 'images/postgres/main.ts')],
      configFile,
      lockFile: join(data, 'sitter', 'lock'),
      logFile: join(dir, 'postgres.log'),
      downFile: join(dir, 'down'),
    },
  );
  peer.start();
  return {
    isReady: () => answers(`http://127.0.0.1:${sitter}/readyz`),
    stop: async () => void (await peer.terminate(20_000)),
  };
}

async function startProgram(
  container: Container,
  program: 'webapi' | 'storage',
  local: (config: Config, own: { readonly http: number; readonly control: number }) => Config,
): Promise<PodProcess> {
  const { pod, dir, ports } = container;
  const own = { http: await ports.of(pod.metadata.name, 8080), control: await ports.of(pod.metadata.name, 9090) };
  const configFile = writeConfig(container, config => local(config, own));
  const server = createServerProcess({
    name: pod.metadata.name,
    command: [NODE, join(ROOT, 'images', program, 'main.ts'), configFile],
    logFile: join(dir, 'log', `${program}.log`),
    isReady: () => true,
    startWithinMs: 10_000,
    failureCode: 'ProgramStart',
  });
  await server.start();
  return { isReady: () => answers(`http://127.0.0.1:${own.control}/readyz`), stop: () => server.kill() };
}

type Config = Readonly<Record<string, unknown>>;

function localWebapi(config: Config, { http, control }: { readonly http: number; readonly control: number }): Config {
  const here = (port: number) => ({ host: '127.0.0.1', port });
  return { ...config, webapi: { ...(config.webapi as object), listen: here(http), control: here(control) } };
}

function localStorage(config: Config, { http, control }: { readonly http: number; readonly control: number }): Config {
  return {
    ...config,
    storage: { ...(config.storage as object), host: '127.0.0.1', port: http, floorBytes: 0 },
    control: { host: '127.0.0.1', port: control },
  };
}

/** The pod's configuration file with the paths and addresses of this machine. */
function writeConfig({ pod, dir, mounted, ports }: Container, change: (config: Config) => Config): string {
  const directory = mounted.get('/etc/manta/config') ?? '';
  const text = readFileSync(join(directory, 'config.yaml'), 'utf8');
  const { namespace = '' } = pod.metadata;
  const local = localText(text, mounted)
    .replace(
      /https:\/\/(nameservice-\d+)\.nameservice\.[^:]+:2379/g,
      (_, member) => `https://localhost:${ports.known(member, 2379)}`,
    )
    .replaceAll(`webapi.${namespace}.svc:9090`, `127.0.0.1:${ports.known('webapi', 9090)}`);
  const file = join(dir, 'config.yaml');
  writeFileSync(file, stringify(change(parse(local) as Config)));
  return file;
}

/** Longest paths first, because some lie in others. */
function localText(text: string, mounted: ReadonlyMap<string, string>): string {
  const paths = [...mounted].sort(([a], [b]) => b.length - a.length);
  const marks = paths.map((_, index) => `\u0000${index}\u0000`);
  let local = text;
  paths.forEach(([path], index) => {
    local = local.replace(new RegExp(`(?<![\\w/])${path}(?![\\w-])`, 'g'), marks[index] ?? '');
  });
  paths.forEach(([, dir], index) => {
    local = local.replaceAll(marks[index] ?? '', dir);
  });
  return local;
}

function answers(url: string): Promise<boolean> {
  return new Promise(resolveAnswer => {
    const request = get(url, { timeout: 1_000 }, response => {
      response.resume();
      resolveAnswer(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolveAnswer(false));
  });
}
