import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { CLUSTER_DOMAIN, CONTROL_PLANE_ADDRESS, nodeName, SERVICE_NETWORK } from './addresses.ts';
import type { Credentials } from './credentials.ts';
import { createDaemon, type Daemon, lastLines } from './daemon.ts';
import { kubeProxy } from './node-configuration.ts';
import type { ClusterPlan } from './plan.ts';

/** The cluster's control plane, in the supervisor's own namespaces. */
export interface ControlPlane {
  readonly programs: readonly Daemon[];
  /** Resolves when the API server is ready. Throws MantaError `ControlPlaneStart`. */
  start(isReady: () => Promise<boolean>): Promise<void>;
}

export interface ControlPlaneDeps {
  readonly plan: ClusterPlan;
  readonly credentials: Credentials;
}

const READY_WITHIN_MS = 60_000;

/** Does not start it. */
export function createControlPlane({ plan, credentials }: ControlPlaneDeps): ControlPlane {
  const logs = join(plan.dir, 'logs', 'control-plane');
  const proxyFile = join(plan.dir, 'kube-proxy.yaml');
  const commands = {
    etcd: etcd(join(plan.dir, 'etcd')),
    'kube-apiserver': apiServer(plan.apiPort, credentials),
    'kube-controller-manager': controllerManager(credentials),
    'kube-scheduler': scheduler(credentials),
    // Services are reachable from here as from a node: for tests, and for this machine's proxy.
    'kube-proxy': ['kube-proxy', '--config', proxyFile],
  };
  const programs = Object.entries(commands).map(([name, [program = '', ...args]]) =>
    createDaemon({
      name,
      logFile: join(logs, `${name}.log`),
      command: [join(plan.dir, 'programs', 'bin', program), ...args],
    }),
  );
  return {
    programs,
    async start(isReady) {
      mkdirSync(logs, { recursive: true });
      // It wants a Node to be; the first one lends its name.
      writeFileSync(proxyFile, stringify(kubeProxy(nodeName(1), credentials.path('proxy.kubeconfig'))));
      const [database, server, ...others] = programs as [Daemon, Daemon, ...Daemon[]];
      database.start();
      server.start();
      const until = performance.now() + READY_WITHIN_MS;
      while (!(await isReady())) {
        if (performance.now() > until) {
          const why = [database, server].map(({ logFile }) => lastLines(logFile, 3)).join('\n');
          throw new MantaError('ControlPlaneStart', `the API server does not become ready: ${why}`);
        }
      }
      for (const daemon of others) daemon.start();
    },
  };
}

function etcd(dataDir: string): string[] {
  const client = 'http://127.0.0.1:2379';
  const peer = 'http://127.0.0.1:2380';
  return [
    ...['etcd', '--name', 'e2e', '--data-dir', dataDir, '--log-level', 'warn'],
    ...['--listen-client-urls', client, '--advertise-client-urls', client],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `e2e=${peer}`],
    // Nothing here is to survive this machine's power cut.
    '--unsafe-no-fsync',
  ];
}

function apiServer(port: number, { path }: Credentials): string[] {
  return [
    ...['kube-apiserver', '--advertise-address', CONTROL_PLANE_ADDRESS, '--bind-address', '0.0.0.0'],
    ...['--secure-port', String(port), '--etcd-servers', 'http://127.0.0.1:2379'],
    ...['--service-cluster-ip-range', SERVICE_NETWORK, '--allow-privileged=true'],
    ...['--client-ca-file', path('ca.crt')],
    ...['--tls-cert-file', path('apiserver.crt'), '--tls-private-key-file', path('apiserver.key')],
    ...['--kubelet-certificate-authority', path('ca.crt'), '--kubelet-preferred-address-types', 'InternalIP'],
    ...['--kubelet-client-certificate', path('kubelet-client.crt')],
    ...['--kubelet-client-key', path('kubelet-client.key')],
    ...['--service-account-issuer', `https://kubernetes.default.svc.${CLUSTER_DOMAIN}`],
    ...['--service-account-key-file', path('service-accounts.pub')],
    ...['--service-account-signing-key-file', path('service-accounts.key')],
    ...['--requestheader-client-ca-file', path('front-proxy-ca.crt')],
    ...['--requestheader-allowed-names', 'front-proxy-client'],
    ...['--requestheader-extra-headers-prefix', 'X-Remote-Extra-'],
    ...['--requestheader-group-headers', 'X-Remote-Group', '--requestheader-username-headers', 'X-Remote-User'],
    ...['--proxy-client-cert-file', path('front-proxy-client.crt')],
    ...['--proxy-client-key-file', path('front-proxy-client.key'), '--enable-aggregator-routing=true'],
    ...['--authorization-mode', 'Node,RBAC', '--enable-admission-plugins', 'NodeRestriction'],
    ...['--default-not-ready-toleration-seconds', '20', '--default-unreachable-toleration-seconds', '20'],
  ];
}

function controllerManager({ path }: Credentials): string[] {
  const kubeconfig = path('controller-manager.kubeconfig');
  return [
    ...['kube-controller-manager', '--kubeconfig', kubeconfig, '--leader-elect=false', '--bind-address', '127.0.0.1'],
    ...['--authentication-kubeconfig', kubeconfig, '--authorization-kubeconfig', kubeconfig],
    ...['--tls-cert-file', path('controller-manager.crt')],
    ...['--tls-private-key-file', path('controller-manager.key')],
    ...['--service-account-private-key-file', path('service-accounts.key'), '--use-service-account-credentials=true'],
    ...['--root-ca-file', path('ca.crt'), '--client-ca-file', path('ca.crt')],
    ...['--cluster-signing-cert-file', path('ca.crt'), '--cluster-signing-key-file', path('ca.key')],
    ...['--allocate-node-cidrs=false', '--terminated-pod-gc-threshold', '200'],
    // A lost node is told from one that is late after the lease of its kubelet, 12 s, and a little more.
    ...['--node-monitor-period', '2s', '--node-monitor-grace-period', '16s'],
  ];
}

function scheduler({ path }: Credentials): string[] {
  const kubeconfig = path('scheduler.kubeconfig');
  return [
    ...['kube-scheduler', '--kubeconfig', kubeconfig, '--leader-elect=false', '--bind-address', '127.0.0.1'],
    ...['--authentication-kubeconfig', kubeconfig, '--authorization-kubeconfig', kubeconfig],
    ...['--tls-cert-file', path('scheduler.crt'), '--tls-private-key-file', path('scheduler.key')],
  ];
}
