import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** What the library tells about itself. Labels come from closed sets: shards of the configuration, names of calls. */
export interface MetadataMetrics {
  batchSent(shard: string, rows: number, seconds: number): void;
  sentAlone(shard: string): void;
  retried(kind: string): void;
  unsettled(): void;
}

const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** `waiting` is asked at every scrape for the number of mutations that wait, by shard. */
export function createMetrics(
  registry: Registry,
  waiting: () => Iterable<readonly [shard: string, waiting: number]>,
): MetadataMetrics {
  const registers = [registry];
  const rows = new Histogram({
    name: 'manta_metadata_batch_rows',
    help: 'Mutations per batch',
    labelNames: ['shard'],
    buckets: ROWS,
    registers,
  });
  const seconds = new Histogram({
    name: 'manta_metadata_batch_seconds',
    help: 'Time from sending a batch to its reply',
    labelNames: ['shard'],
    buckets: SECONDS,
    registers,
  });
  const alone = new Counter({
    name: 'manta_metadata_alone_total',
    help: 'Mutations that a batch could not take',
    labelNames: ['shard'],
    registers,
  });
  const retries = new Counter({
    name: 'manta_metadata_retries_total',
    help: 'Calls repeated, by the kind of failure',
    labelNames: ['kind'],
    registers,
  });
  const repairs = new Counter({
    name: 'manta_metadata_repairs_total',
    help: 'Half-done directory operations settled',
    registers,
  });
  new Gauge({
    name: 'manta_metadata_waiting_rows',
    help: 'Mutations that wait for a batch',
    labelNames: ['shard'],
    registers,
    collect() {
      for (const [shard, count] of waiting()) this.set({ shard }, count);
    },
  });
  return {
    batchSent(shard, count, time) {
      rows.observe({ shard }, count);
      seconds.observe({ shard }, time);
    },
    sentAlone: shard => alone.inc({ shard }),
    retried: kind => retries.inc({ kind }),
    unsettled: () => repairs.inc(),
  };
}
