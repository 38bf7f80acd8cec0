import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** What a storage node measures. */
export interface StorageMetrics {
  readonly requests: Histogram<'operation' | 'status'>;
  readonly bytesWritten: Counter;
  readonly writesInflight: Gauge;
  readonly outOfService: Gauge;
}

export function createStorageMetrics(registry: Registry): StorageMetrics {
  const registers = [registry];
  return {
    requests: new Histogram({
      name: 'manta_storage_request_seconds',
      help: 'time from the head of a request to the end of its answer',
      labelNames: ['operation', 'status'],
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
      registers,
    }),
    bytesWritten: new Counter({ name: 'manta_storage_written_bytes', help: 'object bytes made durable', registers }),
    writesInflight: new Gauge({ name: 'manta_storage_writes_inflight', help: 'uploads in progress', registers }),
    outOfService: new Gauge({
      name: 'manta_storage_out_of_service',
      help: '1 when the volume takes no writes',
      registers,
    }),
  };
}
