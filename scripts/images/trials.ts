import { generateKeyPairSync } from 'node:crypto';
import type { z } from 'zod';
import type { loadbalancerConfigSchema } from '../../images/loadbalancer/config.ts';
import type { sitterConfigSchema } from '../../images/postgres/config.ts';
import type { programConfigSchema as storageConfigSchema } from '../../images/storage/program-config.ts';
import type { programConfigSchema as webapiConfigSchema } from '../../images/webapi/program-config.ts';
import { createSelfSigned } from '../../lib/certificates/issue.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { createTokenSigner, signNodeToken } from '../../lib/region-token/region-token.ts';
import type { operatorConfigSchema } from '../../operator/config.ts';

/** What a program is given to come up with, alone in the world: nothing that it depends on is there. */
export interface Trial {
  readonly args: readonly string[];
  readonly env?: readonly string[];
  /** Becomes `/etc/manta/config.yaml`. */
  readonly config?: object;
  /** Below `/etc/manta`. */
  readonly files: Readonly<Record<string, string>>;
  /** Volumes of its own. */
  readonly writable: readonly string[];
  /** Answers 200 when it is up. */
  readonly isUp: string;
  /** Shell commands that have to succeed in such a container. */
  readonly commands?: readonly string[];
}

type Ports = readonly [number, number, number, number];

const TRIALS: Readonly<Record<string, (ports: Ports) => Trial | Promise<Trial>>> = {
  webapi,
  storage,
  loadbalancer,
  postgres,
  nameservice,
  operator,
};

/** Throws MantaError `Usage` for an image that nobody has thought of here. */
export async function trialOf(name: string, ports: Ports): Promise<Trial> {
  const make = TRIALS[name];
  if (make === undefined) throw new MantaError('Usage', `there is no trial of ${name}: write one beside the others`);
  return make(ports);
}

const CONFIG = '/etc/manta/config.yaml';
/** Nobody listens there. */
const NOWHERE = '127.0.0.1';
const NOBODY = 9;

function regionKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const files = {
    'k1.pem': privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    'k1.pub': publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
  return { privateKey, files };
}

function webapi([port, control]: Ports): Trial {
  const place = { host: NOWHERE, port: NOBODY };
  const config: z.input<typeof webapiConfigSchema> = {
    webapi: { region: 'trial', listen: { port }, control: { port: control } },
    databases: {
      shards: [{ shard: 1, database: 'index', ...place }],
      control: { database: 'control', ...place },
      passwordFile: '/etc/manta/password',
    },
    regionKey: { kid: 'k1', privateKeyFile: '/etc/manta/k1.pem', publicKeyFiles: { k1: '/etc/manta/k1.pub' } },
  };
  const files = { ...regionKey().files, password: 'secret' };
  return { args: [CONFIG], config, files, writable: ['/tmp'], isUp: `http://127.0.0.1:${control}/livez` };
}

function storage([port, control]: Ports): Trial {
  const { privateKey, files } = regionKey();
  const signer = createTokenSigner({ region: 'trial', subject: 'trial', kid: 'k1', privateKey, clock: systemClock });
  const storageId = '1.stor.trial';
  const config: z.input<typeof storageConfigSchema> = {
    region: 'trial',
    storage: {
      storageId,
      dir: '/data',
      port,
      failureDomain: 'trial',
      webapiUrl: `http://${NOWHERE}:${NOBODY}`,
      floorBytes: 0,
    },
    control: { port: control },
    nodeTokenFile: '/etc/manta/token',
    publicKeyFiles: { k1: '/etc/manta/k1.pub' },
  };
  return {
    args: [CONFIG],
    config,
    files: { ...files, token: signNodeToken(signer, storageId) },
    writable: ['/data'],
    isUp: `http://127.0.0.1:${control}/livez`,
  };
}

async function loadbalancer([tlsPort, clearPort, control]: Ports): Promise<Trial> {
  const request = { subject: { commonName: 'trial' }, usages: ['server'], days: 1 } as const;
  const { certificate, key } = await createSelfSigned(request, Date.now());
  const config: z.input<typeof loadbalancerConfigSchema> = {
    listen: { addresses: ['127.0.0.1'], tlsPort, clearPort },
    control: { port: control },
    backends: { kind: 'fixed', list: [{ address: NOWHERE, port: NOBODY }] },
    certificate: { certificateFile: '/etc/manta/tls.crt', keyFile: '/etc/manta/tls.key' },
    timers: { lameDuck: 100 },
  };
  return {
    args: [CONFIG],
    config,
    files: { 'tls.crt': certificate, 'tls.key': key },
    writable: ['/run/loadbalancer', '/tmp'],
    isUp: `http://127.0.0.1:${control}/readyz`,
  };
}

function postgres([port, sitter]: Ports): Trial {
  const config: z.input<typeof sitterConfigSchema> = {
    shard: 1,
    id: 'pg-1-0',
    host: '127.0.0.1',
    dataDir: '/data',
    passwordDir: '/etc/manta',
    postgres: { port },
    sitter: { port: sitter, listen: '127.0.0.1' },
    etcd: { endpoints: [`http://${NOWHERE}:${NOBODY}`] },
  };
  return {
    args: ['--config', CONFIG],
    env: ['MANTA_POSTGRES_DATA=/data'],
    config,
    files: {},
    writable: ['/data', '/run/sitter', '/tmp'],
    isUp: `http://127.0.0.1:${sitter}/livez`,
    commands: [
      // What the sitter does when there is an etcd.
      'cd /usr/lib/postgresql/*/bin && ./initdb --pgdata /data/trial && ./postgres --single -D /data/trial postgres </dev/null',
    ],
  };
}

function nameservice([client, peer]: Ports): Trial {
  const url = (port: number) => `http://127.0.0.1:${port}`;
  const env = {
    ETCD_NAME: 'trial',
    ETCD_DATA_DIR: '/data/etcd',
    ETCD_LISTEN_CLIENT_URLS: url(client),
    ETCD_ADVERTISE_CLIENT_URLS: url(client),
    ETCD_LISTEN_PEER_URLS: url(peer),
    ETCD_INITIAL_ADVERTISE_PEER_URLS: url(peer),
    ETCD_INITIAL_CLUSTER: `trial=${url(peer)}`,
  };
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return { args: [], env: settings, files: {}, writable: ['/data'], isUp: `${url(client)}/readyz` };
}

function operator([control]: Ports): Trial {
  const config: z.input<typeof operatorConfigSchema> = {
    namespace: 'trial',
    images: { registry: 'manta', version: '0' },
    control: { port: control },
  };
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'trial',
    clusters: [{ name: 'trial', cluster: { server: `https://${NOWHERE}:${NOBODY}` } }],
    users: [{ name: 'trial', user: { token: 'none' } }],
    contexts: [{ name: 'trial', context: { cluster: 'trial', user: 'trial' } }],
  };
  return {
    args: [CONFIG],
    env: ['KUBECONFIG=/etc/manta/kubeconfig', 'POD_NAME=trial'],
    config,
    files: { kubeconfig: JSON.stringify(kubeconfig) },
    writable: [],
    isUp: `http://127.0.0.1:${control}/livez`,
  };
}
