import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { createAuthority, issueCertificate, type KeyedCertificate } from '../../../lib/certificates/issue.ts';
import { freePorts } from '../../../lib/etcd-process/ports.ts';
import { eventually } from '../../../lib/eventually/eventually.ts';
import { systemClock } from '../../../lib/lifecycle/clock.ts';
import { type LoadbalancerConfig, loadbalancerConfigSchema } from '../config.ts';
import { createLoadbalancer, type LoadbalancerDeps } from '../loadbalancer.ts';
import { findNginx } from './find-nginx.ts';

/** A load balancer in this process, with a real nginx. */
export interface RunningLoadbalancer {
  readonly host: '127.0.0.1';
  readonly tlsPort: number;
  readonly clearPort: number;
  readonly tlsUrl: string;
  readonly clearUrl: string;
  readonly controlUrl: string;
  /** Who has issued the certificates (PEM). */
  readonly authority: KeyedCertificate;
  readonly config: LoadbalancerConfig;
  /** The access log. */
  readonly lines: Record<string, unknown>[];
  /** What it has logged itself, a line of JSON each. */
  readonly log: string[];
  /** Puts a certificate where it is read. */
  install(pem: KeyedCertificate): void;
  /** Makes a certificate for 127.0.0.1. */
  issue(commonName?: string, days?: number): Promise<KeyedCertificate>;
  status(path: string): Promise<number>;
  ready(): Promise<void>;
  metrics(): Promise<string>;
  close(): Promise<void>;
}

/** Everything short: tests wait for nothing that they do not look at. */
const SHORT = { certificate: 50, reload: 0, turnOver: 100, healthCheck: 100, lameDuck: 100, drain: 5_000 };

/** Starts a load balancer; it is ready when `ready` resolves, which takes a backend. */
export async function startLoadbalancer(
  options: Omit<Partial<LoadbalancerConfig>, 'timers'> & {
    readonly backends: LoadbalancerConfig['backends'];
    readonly timers?: Partial<LoadbalancerConfig['timers']>;
  },
  deps: Pick<LoadbalancerDeps, 'kubernetes'> = {},
): Promise<RunningLoadbalancer> {
  const dir = mkdtempSync(join(tmpdir(), 'manta-lb-'));
  const [tlsPort, clearPort] = (await freePorts(2)) as [number, number];
  const authority = await createAuthority({ commonName: 'Test', years: 1 }, Date.now());
  const files = { certificateFile: join(dir, 'tls.crt'), keyFile: join(dir, 'tls.key') };
  const config = loadbalancerConfigSchema.parse({
    listen: { addresses: ['127.0.0.1'], tlsPort, clearPort },
    control: { host: '127.0.0.1', port: 0 },
    certificate: files,
    stateDir: join(dir, 'state'),
    nginx: await findNginx(),
    ...options,
    timers: { ...SHORT, ...options.timers },
  });
  const install = ({ certificate, key }: KeyedCertificate) => {
    writeFileSync(files.certificateFile, certificate);
    writeFileSync(files.keyFile, key);
  };
  const issue = (commonName = 'front door', days = 30) =>
    issueCertificate(
      authority,
      { subject: { commonName }, addresses: ['127.0.0.1'], usages: ['server'], days },
      Date.now(),
    );
  install(await issue());
  const lines: Record<string, unknown>[] = [];
  const log: string[] = [];
  const loadbalancer = await createLoadbalancer(
    {
      ...deps,
      logger: pino({ level: 'debug' }, { write: line => void log.push(line) }),
      clock: systemClock,
      accessLog: line => lines.push(JSON.parse(line)),
    },
    config,
  );
  const { controlUrl } = await loadbalancer.listen();
  const status = async (path: string) => (await fetch(controlUrl + path)).status;
  return {
    host: '127.0.0.1',
    tlsPort,
    clearPort,
    tlsUrl: `https://127.0.0.1:${tlsPort}`,
    clearUrl: `http://127.0.0.1:${clearPort}`,
    controlUrl,
    authority,
    config,
    lines,
    log,
    install,
    issue,
    status,
    ready: async () => {
      await eventually(async () => (await status('/readyz')) === 200, 20_000).catch(cause => {
        throw new Error(`not ready:\n${log.join('')}`, { cause });
      });
    },
    metrics: async () => (await fetch(`${controlUrl}/metrics`)).text(),
    close: async () => {
      await loadbalancer.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
