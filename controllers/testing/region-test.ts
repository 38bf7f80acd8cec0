import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Logger, pino } from 'pino';
import { Registry } from 'prom-client';
import { parseAllDocuments } from 'yaml';
import type { ApiServer } from '../../lib/apiserver-process/api-server.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { connectKubernetes } from '../../lib/kubernetes/connect.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import { keyOf } from '../../lib/kubernetes/object.ts';
import {
  type CustomResourceDefinition,
  customResourceDefinitions,
  namespaces,
} from '../../lib/kubernetes/resources.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import type { MantaRegion } from '../../lib/resources/types.ts';
import { operatorConfigSchema } from '../../operator/config.ts';
import { createOperator } from '../../operator/program.ts';
import { createRuntimeMetrics } from '../../operator/runtime/metrics.ts';
import { recorded } from './recorded.ts';
import { type SmallCluster, startSmallCluster } from './small-cluster.ts';

/** An operator on a real API server, beside a small cluster that makes pods processes of this machine. */
export interface RegionTest {
  readonly kubernetes: Kubernetes;
  readonly namespace: string;
  readonly cluster: SmallCluster;
  /** Starts an operator, after the one before it has ended. */
  startOperator(life?: OperatorLife): Promise<void>;
  /** What the operator has sent to change something: verb and object. */
  writes(): readonly string[];
  /** Whether the operator has come to the end of its writes. */
  isDead(): boolean;
  stopOperator(): Promise<void>;
  close(): Promise<void>;
}

/** How one operator lives. */
export interface OperatorLife {
  readonly images?: { readonly registry: string; readonly version: string };
  /** After so many writes to the API server it can write no more, as one that was killed just then. */
  readonly writes?: number;
}

const CRDS = resolve(import.meta.dirname, '..', '..', 'crds');
const KINDS = ['mantaregions', 'shards', 'storagenodes'];
const IMAGES = { registry: 'registry.test/manta', version: '1.0.0' };

/** `logger`: of operator and cluster, for whoever debugs a test. */
export async function startRegionTest(api: ApiServer, logger: Logger = pino({ level: 'silent' })): Promise<RegionTest> {
  const dir = mkdtempSync(join(tmpdir(), 'manta-region-test-'));
  const connect = () =>
    connectKubernetes({ clock: systemClock }, { location: { kind: 'kubeconfig', files: [api.kubeconfigFile] } });
  const kubernetes = await connect();
  await installKinds(kubernetes);
  const made = await kubernetes.create(namespaces, { metadata: { name: '', generateName: 'region-' } });
  const namespace = made.metadata.name;
  const cluster = await startSmallCluster(
    { kubernetes, logger: logger.child({ part: 'cluster' }) },
    { dir, namespace },
  );
  let operator: ReturnType<typeof createOperator> | undefined;
  let left = 0;
  let sent: string[] = [];

  async function stopOperator(): Promise<void> {
    await operator?.stop();
    operator = undefined;
  }

  return {
    kubernetes,
    namespace,
    cluster,
    stopOperator,
    isDead: () => left < 0,
    writes: () => sent,
    async startOperator({ images = IMAGES, writes = Number.POSITIVE_INFINITY } = {}) {
      await stopOperator();
      const registry = new Registry();
      const { ports } = cluster;
      left = writes;
      sent = [];
      const note = (call: string) => {
        left -= 1;
        if (left < 0) throw new Error('this operator was killed');
        sent.push(call);
      };
      operator = createOperator(
        {
          kubernetes: recorded(await connect(), note),
          clock: systemClock,
          random: Math.random,
          logger,
          registry,
          metrics: createRuntimeMetrics(registry),
          instance: 'test',
          identity: `test-${Math.random()}`,
          exit: () => {},
          addresses: {
            nameservice: (_, member) => `https://localhost:${ports.known(member, 2379) || 1}`,
            webapi: () => `http://127.0.0.1:${ports.known('webapi', 9090) || 1}`,
          },
        },
        operatorConfigSchema.parse({
          namespace,
          images,
          control: { host: '127.0.0.1', port: 0 },
          leaderElection: false,
          priorityClass: '',
        }),
      );
      await operator.start();
    },
    async close() {
      await stopOperator();
      await cluster.stop();
      await kubernetes.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** The definitions of crds/, and nothing of a chart. */
async function installKinds(kubernetes: Kubernetes): Promise<void> {
  for (const kind of KINDS) {
    const [document] = parseAllDocuments(readFileSync(join(CRDS, `${kind}.yaml`), 'utf8'), { merge: true });
    const definition = document?.toJS() as CustomResourceDefinition & { metadata: { name: string } };
    await kubernetes.apply(customResourceDefinitions, definition, { fieldManager: 'test', force: true });
    await eventually(async () => {
      const found = await kubernetes.get(customResourceDefinitions, keyOf(definition));
      return (
        found?.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True') ?? false
      );
    }, 30_000);
  }
}

/** The shortest manifest of a region in development, with what `spec` sets besides. */
export function aDevRegion(namespace: string, spec: Partial<MantaRegion['spec']> = {}): MantaRegion {
  return {
    apiVersion: 'manta.io/v1alpha1',
    kind: 'MantaRegion',
    metadata: { name: 'coal', namespace },
    spec: {
      profile: 'dev',
      regionName: 'coal',
      domainSuffix: 'example.test',
      zones: ['local'],
      shardTemplate: { storage: { data: { size: '5Gi' }, wal: { size: '2Gi' } } },
      storageTemplate: { volume: { size: '20Gi' } },
      frontDoor: { hostnames: ['manta.coal.example.test'], service: { type: 'NodePort' } },
      backup: { target: { type: 'None' } },
      ...spec,
    } as MantaRegion['spec'],
  };
}
