import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import { MantaError } from '../errors/manta-error.ts';
import type { KubernetesLocation } from './location.ts';

/** How connections are secured. PEM. */
export interface TlsSettings {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** What a request needs to reach the API server and be let in. */
export interface Endpoint {
  /** Scheme, host and port; a path where the server is behind one. */
  readonly server: string;
  readonly tls: TlsSettings;
  readonly headers: Readonly<Record<string, string>>;
}

/** Reads credentials anew each time: tokens and certificates are replaced while a program runs. */
export interface Credentials {
  read(): Promise<Endpoint>;
  /** The namespace that the location names for requests that name none. */
  readonly namespace: string | undefined;
}

/** Credentials from where `location` says. Throws MantaError `KubeconfigInvalid`, or a file system's error. */
export async function loadCredentials(location: KubernetesLocation): Promise<Credentials> {
  return location.kind === 'in-cluster' ? serviceAccount(location) : kubeconfig(location);
}

async function serviceAccount(location: KubernetesLocation & { kind: 'in-cluster' }): Promise<Credentials> {
  const { host, port, dir } = location;
  const server = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const namespace = await readFile(join(dir, 'namespace'), 'utf8').catch(() => undefined);
  return {
    namespace: namespace?.trim(),
    async read() {
      const [ca, token] = await Promise.all([
        readFile(join(dir, 'ca.crt'), 'utf8'),
        readFile(join(dir, 'token'), 'utf8'),
      ]);
      return { server, tls: { ca }, headers: { authorization: `Bearer ${token.trim()}` } };
    },
  };
}

async function kubeconfig(location: KubernetesLocation & { kind: 'kubeconfig' }): Promise<Credentials> {
  const config = await mergedConfig(location.files);
  if (location.context !== undefined) config.setCurrentContext(location.context);
  const cluster = config.getCurrentCluster();
  const where = location.files.join(', ');
  if (cluster === null) {
    throw new MantaError('KubeconfigInvalid', `${where}: context "${config.getCurrentContext()}" names no cluster`);
  }
  if (cluster.proxyUrl !== undefined) {
    throw new MantaError('KubeconfigInvalid', `${where}: proxy-url of cluster ${cluster.name} is not supported`);
  }
  return {
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    async read() {
      const options: RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      return { server: cluster.server, tls: tlsOf(options), headers: headersOf(options) };
    },
  };
}

async function mergedConfig(files: readonly string[]): Promise<KubeConfig> {
  // Only here, because the package brings 60 MB of generated code along, which a program in a pod never needs.
  const { KubeConfig } = await import('@kubernetes/client-node');
  const [first, ...others] = await Promise.all(
    files.map(async file => {
      const config = new KubeConfig();
      config.loadFromFile(file);
      return config;
    }),
  );
  if (first === undefined) throw new MantaError('KubeconfigInvalid', 'no kubeconfig file was named');
  for (const other of others) first.mergeConfig(other, first.getCurrentContext() !== undefined);
  return first;
}

function tlsOf(options: RequestOptions): TlsSettings {
  const { ca, cert, key, servername, rejectUnauthorized } = options;
  return {
    ...(ca === undefined ? {} : { ca: String(ca) }),
    ...(cert === undefined ? {} : { cert: String(cert) }),
    ...(key === undefined ? {} : { key: String(key) }),
    ...(servername === undefined ? {} : { servername }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
}

function headersOf({ headers, auth }: RequestOptions): Record<string, string> {
  const named = Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)] as const);
  const basic = auth == null ? [] : [['authorization', `Basic ${Buffer.from(auth).toString('base64')}`] as const];
  return Object.fromEntries([...named, ...basic]);
}
