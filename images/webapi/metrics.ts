import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** What webapi counts about its requests. */
export interface RequestMetrics {
  begin(): void;
  /** `operation` is the route's name, or `none`. */
  end(operation: string, status: number, seconds: number, bytesIn: number, bytesOut: number): void;
}

/** Seconds; the edge gives up at 240. */
const LATENCY_BUCKETS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 240];

export function createRequestMetrics(registry: Registry): RequestMetrics {
  const registers = [registry];
  const requests = new Counter({
    name: 'manta_webapi_requests_total',
    help: 'Requests answered, by route and status.',
    labelNames: ['operation', 'status'],
    registers,
  });
  const latency = new Histogram({
    name: 'manta_webapi_request_duration_seconds',
    help: 'From the headers of a request to the end of its answer.',
    labelNames: ['operation'],
    buckets: LATENCY_BUCKETS,
    registers,
  });
  const bytes = new Counter({
    name: 'manta_webapi_body_bytes',
    help: 'Bytes of bodies moved, by direction.',
    labelNames: ['direction'],
    registers,
  });
  const running = new Gauge({
    name: 'manta_webapi_running_requests',
    help: 'Requests being worked on.',
    registers,
  });
  const received = bytes.labels('in');
  const sent = bytes.labels('out');

  return {
    begin: () => running.inc(),
    end: (operation, status, seconds, bytesIn, bytesOut) => {
      running.dec();
      requests.labels(operation, String(status)).inc();
      latency.labels(operation).observe(seconds);
      received.inc(bytesIn);
      sent.inc(bytesOut);
    },
  };
}
