import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pino, { type Logger } from 'pino';
import type { Progress } from '../../images/coal/progress.ts';
import { findEtcd } from '../../lib/etcd-process/find-etcd.ts';
import {
  CNI_PLUGINS,
  CONTAINERD,
  coredns,
  HELM,
  kubernetesProgram,
  RUNC,
} from '../../lib/go-program/cluster-programs.ts';
import { type FindOptions, findGoProgram, type GoProgram } from '../../lib/go-program/go-program.ts';

/** Paths of programs, by name. */
export interface ClusterPrograms {
  /** For nodes, the control plane and people. */
  readonly bin: Readonly<Record<string, string>>;
  /** containerd calls them for a pod's network. */
  readonly cni: Readonly<Record<string, string>>;
  /** The only program of an image each. */
  readonly images: Readonly<Record<'coredns' | 'pause' | 'probe', string>>;
}

/** The newest of its module that the module proxy offers. */
const KUBE_ROUTER = {
  name: 'kube-router',
  version: '2.1.0',
  module: 'github.com/cloudnativelabs/kube-router/v2',
  packages: { 'kube-router': 'github.com/cloudnativelabs/kube-router/v2/cmd/kube-router' },
} as const satisfies GoProgram;

const KUBERNETES = [
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
  'kubectl',
] as const;

/** Our own, which need nothing but Go's library: built beside CoreDNS because a build has one module. */
function imagePrograms(): GoProgram<'coredns' | 'pause' | 'probe'> {
  const source = (name: string) => readFileSync(join(import.meta.dirname, 'go', name, 'main.go'), 'utf8');
  return {
    ...coredns(source('coredns')),
    name: 'cluster-images',
    packages: { coredns: './source/coredns', pause: './source/pause', probe: './source/probe' },
    sources: Object.fromEntries(['coredns', 'pause', 'probe'].map(name => [`source/${name}/main.go`, source(name)])),
  };
}

/**
 * Finds everything that a cluster is made of, and builds what is missing, one after the other: a quarter of an hour on
 * two cores with nothing there, a moment otherwise. Throws MantaError `GoProgramMissing` or `EtcdMissing`, which say what
 * to do.
 */
export async function findClusterPrograms(
  { progress }: { readonly progress: Progress },
  options: FindOptions = {},
): Promise<ClusterPrograms> {
  return progress.step('programs', async say => {
    const find = <File extends string>(program: GoProgram<File>) => {
      const logger = sayingLogger(text => say(`${program.name} ${program.version}: ${text}`));
      return findGoProgram({ logger }, program, options);
    };
    const etcd = await findEtcd({ logger: sayingLogger(text => say(`etcd: ${text}`)) }, options.env);
    const cni = await find(CNI_PLUGINS);
    let bin: Record<string, string> = { etcd, ...(await find(RUNC)), ...(await find(CONTAINERD)) };
    for (const name of KUBERNETES) bin = { ...bin, ...(await find(kubernetesProgram(name))) };
    bin = { ...bin, ...(await find(KUBE_ROUTER)), ...(await find(HELM)) };
    return { bin, cni, images: await find(imagePrograms()) };
  });
}

/** What a build logs is what the person who waits for it wants to know. */
function sayingLogger(say: (text: string) => void): Logger {
  return pino(
    { timestamp: false },
    {
      write(line: string) {
        const { msg, seconds } = JSON.parse(line) as { msg: string; seconds?: number };
        say(seconds === undefined ? msg : `${msg}: ${seconds} s`);
      },
    },
  );
}
