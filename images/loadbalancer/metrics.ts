import { Counter, Gauge, type Registry } from 'prom-client';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import type { CertificateKeeper } from './certificate.ts';
import type { HealthChecks } from './health-checks.ts';
import type { Nginx } from './nginx.ts';

export interface LoadbalancerMetrics {
  request(status: number): void;
  reload(outcome: 'done' | 'refused' | 'failed'): void;
}

/** The metrics of operations.md §7.2; gauges are read when they are asked for. */
export function createLoadbalancerMetrics(deps: {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly nginx: Nginx;
  readonly certificate: CertificateKeeper;
  readonly health: HealthChecks;
}): LoadbalancerMetrics {
  const { registry, clock, nginx, certificate, health } = deps;
  const registers = [registry];
  new Gauge({
    name: 'manta_loadbalancer_backends',
    help: 'webapi processes behind this load balancer, by whether they answer pings',
    labelNames: ['state'],
    registers,
    collect() {
      const { healthy, unhealthy } = health.counts();
      this.set({ state: 'healthy' }, healthy);
      this.set({ state: 'unhealthy' }, unhealthy);
    },
  });
  new Gauge({
    name: 'manta_loadbalancer_sessions',
    help: 'Open connections of clients',
    registers,
    async collect() {
      this.set((await nginx.connections()) ?? 0);
    },
  });
  new Gauge({
    name: 'manta_loadbalancer_certificate_expiry_seconds',
    help: 'Seconds until the certificate that is served expires',
    registers,
    collect() {
      const leaf = certificate.served()?.leaf;
      if (leaf !== undefined) this.set(Math.round((leaf.notAfter - clock.now()) / 1000));
    },
  });
  new Gauge({
    name: 'manta_loadbalancer_certificate_valid',
    help: '1 while the certificate that this load balancer is given can be served, and is',
    registers,
    collect() {
      this.set(certificate.served() !== undefined && certificate.refused() === undefined ? 1 : 0);
    },
  });
  const requests = new Counter({
    name: 'manta_loadbalancer_requests_total',
    help: 'Answered requests, by class of status',
    labelNames: ['class'],
    registers,
  });
  const reloads = new Counter({
    name: 'manta_loadbalancer_reloads_total',
    help: 'Configurations given to nginx, by what became of them',
    labelNames: ['outcome'],
    registers,
  });
  for (const statusClass of ['1xx', '2xx', '3xx', '4xx', '5xx']) requests.inc({ class: statusClass }, 0);
  return {
    request: status => requests.inc({ class: `${Math.floor(status / 100)}xx` }),
    reload: outcome => reloads.inc({ outcome }),
  };
}
