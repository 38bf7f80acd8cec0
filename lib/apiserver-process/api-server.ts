import { writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { KeyedCertificate } from '../certificates/issue.ts';
import { type EtcdCluster, startEtcdCluster } from '../etcd-process/etcd-cluster.ts';
import { freePorts } from '../etcd-process/ports.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { createServerProcess, type ServerProcess } from '../lifecycle/server-process.ts';
import { findApiServer } from './find-api-server.ts';
import { type KubernetesUser, makeServerKeys } from './keys.ts';
import { kubeconfigOf } from './kubeconfig.ts';

export interface ApiServerDeps {
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface ApiServerConfig {
  /** For keys, logs, etcd's data and `kubeconfig`. */
  readonly dir: string;
  /** Bearer tokens that it knows from the start, and who they stand for. */
  readonly tokens?: readonly { readonly token: string; readonly user: KubernetesUser }[];
  /** Further flags of kube-apiserver's; of a flag that is given twice the last counts. */
  readonly args?: readonly string[];
}

/** A kube-apiserver and its etcd. */
export interface ApiServer {
  readonly url: string;
  /** PEM: the authority of its certificate and of its users'. */
  readonly authority: string;
  /** A member of `system:masters`, whom RBAC does not bind. */
  readonly admin: KeyedCertificate;
  /** The admin's kubeconfig, as text and as a file. */
  readonly kubeconfig: string;
  readonly kubeconfigFile: string;
  /**
   * For tests that stop, kill, freeze and start it again, as which it keeps its port and, in etcd, what it was told. Its
   * orderly stop takes a second or two: it answers what it has begun and ends its watches in order.
   */
  readonly process: ServerProcess;
  readonly etcd: EtcdCluster;
  /** The certificate by which a client is that user; what they may is up to RBAC. */
  issueUser(user: KubernetesUser): Promise<KeyedCertificate>;
  /** The same as a kubeconfig. */
  kubeconfigFor(user: KubernetesUser): Promise<string>;
  /** Ends it and its etcd by a kill, which waits for no watch. Idempotent. */
  stop(): Promise<void>;
}

const START_WITHIN_MS = 60_000;
const ADMIN: KubernetesUser = { name: 'kubernetes-admin', groups: ['system:masters'] };

/**
 * Starts a real kube-apiserver on a free loopback port, with an etcd of its own, and resolves when it is ready: a few
 * seconds. RBAC and the default admission are on, but for ServiceAccount, which demands of pods what only the controller
 * manager makes. There is none: a StatefulSet gets no pods, nothing is collected with its owner, a namespace that is
 * deleted stays Terminating, and the aggregated roles `view`, `edit` and `admin` allow nothing. What it stores survives a
 * kill of processes, not of the machine. It ends with this process. Throws MantaError `GoProgramMissing`, `EtcdMissing`,
 * `EtcdStart` or `ApiServerStart`; nothing runs then.
 */
export async function startApiServer(deps: ApiServerDeps, config: ApiServerConfig): Promise<ApiServer> {
  const program = await findApiServer(deps);
  const keys = await makeServerKeys(join(config.dir, 'keys'), deps.clock.now());
  const admin = await keys.issueUser(ADMIN);
  const [port = 0] = await freePorts(1);
  const url = `https://127.0.0.1:${port}`;
  const authority = keys.authority.certificate;
  const kubeconfig = kubeconfigOf({ url, authority }, admin);
  const kubeconfigFile = join(config.dir, 'kubeconfig');
  writeFileSync(kubeconfigFile, kubeconfig, { mode: 0o600 });
  const etcd = await startEtcdCluster(deps, { members: 1, dir: config.dir, unsafeNoFsync: true });
  const server = createServerProcess({
    name: 'kube-apiserver',
    command: [program, ...keys.flags, ...flagsOf(config, { port, etcd: etcd.endpoints })],
    logFile: join(config.dir, 'kube-apiserver', 'kube-apiserver.log'),
    isReady: () => isReady(url, authority),
    lookEveryMs: 50,
    startWithinMs: START_WITHIN_MS,
    failureCode: 'ApiServerStart',
  });
  const stop = async () => {
    await Promise.all([server.kill(), etcd.stop()]);
  };
  try {
    await server.start();
  } catch (error) {
    await stop();
    throw error;
  }
  const { issueUser } = keys;
  const kubeconfigFor = async (user: KubernetesUser) => kubeconfigOf({ url, authority }, await issueUser(user));
  return { url, authority, admin, kubeconfig, kubeconfigFile, process: server, etcd, issueUser, kubeconfigFor, stop };
}

function flagsOf(config: ApiServerConfig, { port, etcd }: { port: number; etcd: readonly string[] }): string[] {
  return [
    ...['--bind-address', '127.0.0.1', '--secure-port', String(port), '--advertise-address', '127.0.0.1'],
    // The address it would announce in the service `kubernetes` must not be a loopback one.
    ...['--endpoint-reconciler-type', 'none', '--service-cluster-ip-range', '10.0.0.0/24'],
    ...['--etcd-servers', etcd.join(',')],
    ...[
      '--authorization-mode',
      'Node,RBAC',
      '--disable-admission-plugins',
      'ServiceAccount',
      '--allow-privileged=true',
    ],
    // Otherwise it waits for its watches, a minute long.
    ...['--shutdown-send-retry-after=true', '--shutdown-watch-termination-grace-period=1s'],
    ...tokenFlags(config),
    ...(config.args ?? []),
  ];
}

/** A line of the file is `token,name,uid,"group,group"`. */
function tokenFlags({ dir, tokens = [] }: ApiServerConfig): string[] {
  if (tokens.length === 0) return [];
  const lines = tokens.map(
    ({ token, user }) => `${token},${user.name},${user.name},"${(user.groups ?? []).join(',')}"\n`,
  );
  const file = join(dir, 'keys', 'tokens.csv');
  writeFileSync(file, lines.join(''), { mode: 0o600 });
  return ['--token-auth-file', file];
}

function isReady(url: string, ca: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(2_000);
    const request = get(`${url}/readyz`, { ca, agent: false, signal }, response => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.once('error', reject);
  });
}
