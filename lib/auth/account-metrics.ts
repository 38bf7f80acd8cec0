import { Counter, Gauge, type Registry } from 'prom-client';

/** What the cache of accounts can be asked when metrics are read. */
export interface AccountGauges {
  cached(): number;
  loading(): number;
  /** Seconds since the oldest view in use was confirmed. */
  oldestViewS(): number;
}

/** Registers the cache's metrics under `manta_<program>_accounts_…` and returns the counter of its queries. */
export function registerAccountMetrics(registry: Registry, program: string, gauges: AccountGauges): Counter<'result'> {
  const prefix = `manta_${program}_accounts`;
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name: `${prefix}_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  gauge('cached_count', 'Accounts in the cache', gauges.cached);
  gauge('loading_count', 'Accounts being loaded from the control database', gauges.loading);
  gauge(
    'view_age_seconds',
    'Time since the control database confirmed the oldest account in use; above 60 it does not answer',
    gauges.oldestViewS,
  );
  return new Counter({
    name: `${prefix}_queries_total`,
    help: 'Questions to the control database about accounts',
    labelNames: ['result'],
    registers: [registry],
  });
}
