import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { parse } from 'yaml';
import { type ApiServer, startApiServer } from '../apiserver-process/api-server.ts';
import type { KubernetesUser } from '../apiserver-process/keys.ts';
import { eventually } from '../eventually/eventually.ts';
import { connectKubernetes } from '../kubernetes/connect.ts';
import type { Kubernetes } from '../kubernetes/kubernetes.ts';
import { customResourceDefinitions, namespaces } from '../kubernetes/resources.ts';
import { systemClock } from '../lifecycle/clock.ts';

const CRDS = join(import.meta.dirname, '..', '..', 'crds');

/** Plurals of our kinds. */
export const PLURALS = ['mantaregions', 'shards', 'storagenodes'] as const;

/** A real API server that knows our kinds and has a namespace `manta`. */
export interface ResourceServer {
  readonly server: ApiServer;
  /** The client of the cluster's administrator, whom RBAC does not bind. */
  readonly admin: Kubernetes;
  /** A client of anybody else. */
  as(user: KubernetesUser): Promise<Kubernetes>;
  stop(): Promise<void>;
}

/** Starts one, with the definitions of crds/ established. A few seconds, but where kube-apiserver has to be built first. */
export async function startResourceServer(): Promise<ResourceServer> {
  const dir = mkdtempSync(join(tmpdir(), 'manta-resources-'));
  const logger = pino({ level: 'warn' }, pino.destination(2));
  const server = await startApiServer({ logger, clock: systemClock }, { dir });
  const clients: Kubernetes[] = [];

  async function as(user: KubernetesUser): Promise<Kubernetes> {
    const file = join(dir, `${clients.length}.kubeconfig`);
    writeFileSync(file, await server.kubeconfigFor(user), { mode: 0o600 });
    return connect(file);
  }

  async function connect(file: string): Promise<Kubernetes> {
    const location = { kind: 'kubeconfig', files: [file] } as const;
    const client = await connectKubernetes({ clock: systemClock }, { location });
    clients.push(client);
    return client;
  }

  async function stop(): Promise<void> {
    await Promise.all(clients.map(client => client.close()));
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }

  try {
    const admin = await connect(server.kubeconfigFile);
    await admin.create(namespaces, { metadata: { name: 'manta' } });
    await establish(admin);
    return { server, admin, as, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function establish(admin: Kubernetes): Promise<void> {
  for (const plural of PLURALS) {
    const definition = parse(readFileSync(join(CRDS, `${plural}.yaml`), 'utf8'));
    await admin.create(customResourceDefinitions, definition);
    await eventually(async () => {
      const found = await admin.get(customResourceDefinitions, { name: definition.metadata.name });
      return found?.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True');
    }, 30_000);
    // Established a moment before it is served.
    const path = `/apis/manta.io/v1alpha1/namespaces/manta/${plural}`;
    await eventually(() => admin.json({ method: 'GET', path }), 30_000);
  }
}

/** What the API server said to a manifest, with the fields checked strictly, as kubectl does. */
export interface Answer {
  readonly status: number;
  /** Of a refusal. */
  readonly message: string;
  readonly warnings: readonly string[];
  // biome-ignore lint/suspicious/noExplicitAny: objects of all kinds
  readonly object: any;
}

/** Sends a manifest of one of our kinds. */
export async function send(
  client: Kubernetes,
  method: 'POST' | 'PUT',
  manifest: object,
  { dryRun = false }: { readonly dryRun?: boolean } = {},
): Promise<Answer> {
  const { kind, metadata } = manifest as { kind: string; metadata: { name: string; namespace?: string } };
  const plural = PLURALS.find(found => found === `${kind.toLowerCase()}s`);
  const collection = `/apis/manta.io/v1alpha1/namespaces/${metadata.namespace ?? 'manta'}/${plural}`;
  const query = `fieldValidation=Strict${dryRun ? '&dryRun=All' : ''}`;
  const path = `${collection}${method === 'PUT' ? `/${metadata.name}` : ''}?${query}`;
  const answer = await client.open({
    method,
    path,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(manifest),
  });
  const object = JSON.parse((await answer.body.toArray()).join(''));
  const warnings = [answer.headers.warning ?? []].flat().map(text => /^\d+ \S+ "(.*)"$/s.exec(text)?.[1] ?? text);
  return { status: answer.status, message: answer.status < 300 ? '' : object.message, warnings, object };
}
