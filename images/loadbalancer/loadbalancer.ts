import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { createControlServer } from '../../lib/control-server/control-server.ts';
import { codeOf } from '../../lib/errors/manta-error.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { startTask } from '../../lib/lifecycle/task.ts';
import { type AccessLog, readAccessLog } from './access-log.ts';
import { createCertificateKeeper } from './certificate.ts';
import { createCertificateRouter } from './certificate-router.ts';
import type { Backend, LoadbalancerConfig } from './config.ts';
import { correctionOf } from './correction-record.ts';
import { followService } from './follow-service.ts';
import { startHealthChecks } from './health-checks.ts';
import { createLoadbalancerMetrics } from './metrics.ts';
import { createNginx } from './nginx.ts';
import { renderNginxConfig, stateFiles } from './nginx-config.ts';

export interface LoadbalancerDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  /** Takes the lines of the access log, each with its line break. */
  readonly accessLog: (line: string) => void;
  /** Needed where the backends are those of a Service; closed with the load balancer. */
  readonly kubernetes?: Pick<Kubernetes, 'list' | 'watch' | 'close'> | undefined;
}

/** nginx with the follower that keeps its backends and its certificate current. */
export interface Loadbalancer {
  /** Opens the control port; nginx follows when there are a certificate and backends. */
  listen(): Promise<{ readonly controlUrl: string }>;
  /** Graceful end: operations.md §2.3. Resolves when nginx has ended. */
  close(): Promise<void>;
  /** Resolves with the reason when nginx has ended by itself: only a restart helps. */
  readonly died: Promise<string>;
}

export async function createLoadbalancer(deps: LoadbalancerDeps, config: LoadbalancerConfig): Promise<Loadbalancer> {
  const { logger, clock } = deps;
  const { stateDir, timers } = config;
  await mkdir(stateDir, { recursive: true });
  const registry = new Registry();
  const nginx = createNginx(deps, { binary: config.nginx, stateDir, turnOverMs: timers.turnOver });
  const certificate = createCertificateKeeper(deps, { ...config.certificate, stateDir });
  const user = process.getuid?.() === 0 ? 'root root' : undefined;
  let accessLog: AccessLog | undefined;
  let inForce: string | undefined;
  let appliedAtMs = Number.NEGATIVE_INFINITY;
  let hasBeenReady = false;
  let corrections = 0;
  let isStopping = false;

  const followed = followBackends(deps, config.backends, () => void task?.runNow());
  const health = startHealthChecks({ logger, backends: () => followed.backends() ?? [] }, timers.healthCheck);
  const metrics = createLoadbalancerMetrics({ registry, clock, nginx, certificate, health });

  /** nginx's configuration as of now; undefined while there is nothing that nginx could be started with. */
  function wanted(generation = ''): string | undefined {
    const served = certificate.served();
    const backends = followed.backends();
    if (served === undefined || backends === undefined) return undefined;
    return renderNginxConfig({ backends, certificate: served, config, user }, generation);
  }

  /** Makes nginx run with what is wanted, until nothing else is wanted any more. */
  async function bringIntoForce(signal: AbortSignal): Promise<void> {
    certificate.look();
    while (wanted() !== undefined && wanted() !== inForce) {
      await sleep(Math.max(0, appliedAtMs + timers.reload - clock.monotonic()), undefined, { signal });
      appliedAtMs = clock.monotonic();
      let next: string | undefined;
      try {
        await nginx.apply(generation => {
          next = wanted();
          return wanted(generation) ?? '';
        });
      } catch (error) {
        const isCertificate = codeOf(error) === 'CertificateRefused';
        metrics.reload(isCertificate || codeOf(error) === 'NginxConfigRefused' ? 'refused' : 'failed');
        if (!isCertificate) throw error;
        certificate.giveUp(messageOf(error));
        continue;
      }
      inForce = next;
      metrics.reload('done');
      certificate.forgetOthers();
      logger.info({ backends: followed.backends()?.length }, 'nginx runs with what is known now');
    }
  }

  function record(status: number, line: string): void {
    metrics.request(status);
    deps.accessLog(`${line}\n`);
    const correction = correctionOf(line, corrections + 1);
    if (correction === undefined) return;
    corrections += 1;
    logger.info(correction, 'request');
  }

  let task: ReturnType<typeof startTask> | undefined;

  function isReady(): boolean {
    if (isStopping || !nginx.isRunning() || inForce === undefined) return false;
    hasBeenReady ||= (followed.backends() ?? []).length > 0;
    return hasBeenReady;
  }

  const control = createControlServer(
    { logger, registry, isReady, routers: [['/internal/v1', createCertificateRouter(certificate)]] },
    { ...config.control, drainMs: 1_000 },
  );

  return {
    died: nginx.died,
    async listen() {
      const { url } = await control.listen();
      accessLog = await readAccessLog(stateFiles(stateDir).accessLog, record);
      task = startTask('nginx', timers.certificate, bringIntoForce, { logger });
      return { controlUrl: url };
    },
    async close() {
      isStopping = true;
      await followed.stop();
      await task?.stop();
      await nginx.turnOver();
      await sleep(timers.lameDuck);
      await nginx.stop(timers.drain);
      await accessLog?.close();
      await health.stop();
      await control.close();
      await deps.kubernetes?.close();
    },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

interface FollowedBackends {
  backends(): readonly Backend[] | undefined;
  stop(): Promise<void>;
}

function followBackends(
  { kubernetes, logger }: LoadbalancerDeps,
  config: LoadbalancerConfig['backends'],
  changed: () => void,
): FollowedBackends {
  if (config.kind === 'fixed') return { backends: () => config.list, stop: async () => {} };
  if (kubernetes === undefined) throw new Error('following a Service needs a client of the Kubernetes API');
  return followService({ kubernetes, logger }, config, changed);
}
