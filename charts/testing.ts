import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { parseAllDocuments } from 'yaml';
import { CLUSTER_VERSIONS, HELM } from '../lib/go-program/cluster-programs.ts';
import { findGoProgram } from '../lib/go-program/go-program.ts';
import type { Kubernetes } from '../lib/kubernetes/kubernetes.ts';
import type { KubernetesObject } from '../lib/kubernetes/object.ts';
import { defineResource } from '../lib/kubernetes/resource.ts';

/** The chart. */
export const CHART = join(import.meta.dirname, 'manta');

/** The namespace of the release in tests. */
export const NAMESPACE = 'manta';

/** An object of a manifest, of whatever kind. */
export type Manifest = KubernetesObject & {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  // biome-ignore lint/suspicious/noExplicitAny: tests look into objects of all kinds
  readonly [field: string]: any;
};

/** Helm, with nothing of the user's configuration. */
export interface Helm {
  /** Resolves with what it printed; rejects with what it complained about. */
  run(args: readonly string[], stdin?: string): Promise<string>;
  /** `helm template` with these values. */
  render(values?: object): Promise<readonly Manifest[]>;
  /** A directory of its own, which goes with it. */
  readonly home: string;
  close(): void;
}

/** The Helm of the cache, which is built where it is missing: about two minutes, once. */
export async function startHelm(): Promise<Helm> {
  const { helm } = await findGoProgram({ logger: pino({ level: 'info' }, pino.destination(2)) }, HELM);
  const home = mkdtempSync(join(tmpdir(), 'manta-helm-'));
  const env = { HOME: home, HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home };

  async function run(args: readonly string[], stdin = ''): Promise<string> {
    const done = promisify(execFile)(helm, args, { env, timeout: 60_000, maxBuffer: 16 << 20 });
    done.child.stdin?.end(stdin);
    const { stdout } = await done;
    return stdout;
  }

  return {
    run,
    home,
    async render(values = {}) {
      const release = ['template', 'manta', CHART, '--namespace', NAMESPACE, '--values', '-'];
      const version = ['--kube-version', CLUSTER_VERSIONS.kubernetes];
      return manifestsOf(await run([...release, ...version], JSON.stringify(values)));
    },
    close: () => rmSync(home, { recursive: true, force: true }),
  };
}

/** The objects of a file with YAML. */
export function manifestsOf(text: string): readonly Manifest[] {
  return parseAllDocuments(text)
    .map(document => document.toJS({ maxAliasCount: -1 }))
    .filter(object => object !== null);
}

/** The objects of one of the chart's samples. */
export function sample(name: string): readonly Manifest[] {
  return manifestsOf(readFileSync(join(CHART, 'samples', `${name}.yaml`), 'utf8'));
}

const CLUSTER_WIDE =
  /^(ClusterRole(Binding)?|ValidatingAdmissionPolicy(Binding)?|PriorityClass|StorageClass|PersistentVolume)$/;

/** Creates an object of any kind that the chart has, in the release's namespace where it has one. */
export async function applyManifest(client: Kubernetes, manifest: Manifest): Promise<void> {
  const [group, version] = /\//.test(manifest.apiVersion ?? '') ? (manifest.apiVersion ?? '').split('/') : ['', 'v1'];
  const { kind } = manifest;
  const plural = kind.toLowerCase().replace(/y$/, 'ie').replace(/s$/, 'se').concat('s');
  const namespaced = !CLUSTER_WIDE.test(kind);
  const resource = defineResource({ group: group ?? '', version: version ?? '', kind, plural, namespaced });
  const namespace = namespaced ? { namespace: NAMESPACE } : {};
  await client.create(resource, { ...manifest, metadata: { ...manifest.metadata, ...namespace } });
}
