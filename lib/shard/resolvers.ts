import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Coordinator } from '../coordinator/coordinator.ts';
import { followPrefix, type PrefixView } from '../coordinator/follow-prefix.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { createAskPrimary } from './ask-primary.ts';
import { shardKeys } from './keys.ts';
import { createResolver, type Resolver, resolverDefaults } from './resolver.ts';
import { createResolverMetrics } from './resolver-metrics.ts';

/** The shards of a region as one program follows them. */
export interface Resolvers {
  /** The same resolver for the same shard; the first call starts to follow it. */
  of(shard: number): Resolver;
  /** Ends the resolvers, not the coordinator. */
  close(): Promise<void>;
}

/** `program` is the second part of the metrics' names; `root` what all keys of the region begin with. */
export function createResolvers(
  deps: {
    readonly coordinator: Coordinator;
    readonly fetch: typeof fetch;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly registry: Registry;
  },
  config: { readonly root: string; readonly program: string },
): Resolvers {
  const { coordinator, clock, logger } = deps;
  const metrics = createResolverMetrics(deps.registry, config.program);
  const askPrimary = createAskPrimary(deps);
  const followed = new Map<number, { readonly view: PrefixView; readonly resolver: Resolver }>();
  return {
    of(shard) {
      let found = followed.get(shard);
      if (found === undefined) {
        const keys = shardKeys(config.root, shard);
        const view = followPrefix({ logger, clock }, coordinator, keys.prefix);
        const { observeWait } = metrics;
        const resolver = createResolver(
          { source: view, keys, askPrimary, clock, logger, observeWait },
          { ...resolverDefaults, shard },
        );
        metrics.add(resolver);
        found = { view, resolver };
        followed.set(shard, found);
      }
      return found.resolver;
    },
    async close() {
      for (const { resolver, view } of followed.values()) {
        await resolver.close();
        await view.close();
      }
    },
  };
}
