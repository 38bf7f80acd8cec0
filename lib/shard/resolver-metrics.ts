import { Gauge, Histogram, type Registry } from 'prom-client';
import type { Resolver } from './resolver.ts';

/** Takes the time of every stay in a shard's queue. */
export type ObserveWait = (shard: number, ms: number) => void;

/** What a program shows of the resolvers of its shards (replication.md §14.1), under its own prefix. */
export interface ResolverMetrics {
  readonly observeWait: ObserveWait;
  /** Shows the queue, the generation and the proof of a resolver from now on. */
  add(resolver: Resolver): void;
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 1.5, 2, 3];

/** `program`: the second part of every metric's name. */
export function createResolverMetrics(registry: Registry, program: string): ResolverMetrics {
  const registers = [registry];
  const labelNames = ['shard'] as const;
  const resolvers: Resolver[] = [];
  const wait = new Histogram({
    name: `manta_${program}_primary_wait_seconds`,
    help: 'Time that work waited for a primary, whatever became of it',
    labelNames,
    buckets: SECONDS,
    registers,
  });
  const gauge = (name: string, help: string, value: (resolver: Resolver) => number | undefined) =>
    new Gauge({
      name: `manta_${program}_primary_${name}`,
      help,
      labelNames,
      registers,
      collect() {
        for (const resolver of resolvers) {
          const now = value(resolver);
          if (now !== undefined) this.set({ shard: resolver.shard }, now);
        }
      },
    });
  gauge('waiting_calls', 'Calls that wait for a primary', resolver => resolver.status().waiting);
  gauge('generation', 'Generation of the shard that is followed', resolver => resolver.status().generation);
  gauge('proof_age_seconds', 'Age of the proof that the primary is still the primary', resolver => {
    const { proofAgeMs } = resolver.status();
    return proofAgeMs === undefined ? undefined : proofAgeMs / 1000;
  });
  return { observeWait: (shard, ms) => wait.observe({ shard }, ms / 1000), add: resolver => resolvers.push(resolver) };
}
