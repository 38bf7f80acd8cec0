import { EventEmitter, once } from 'node:events';
import { ApiError } from '../../../lib/kubernetes/api-error.ts';
import type { Kubernetes, ListOptions, WatchOptions } from '../../../lib/kubernetes/kubernetes.ts';
import type { Stored } from '../../../lib/kubernetes/object.ts';
import type { EndpointSlice } from '../../../lib/kubernetes/resources.ts';
import type { Backend } from '../config.ts';

/**
 * A Service's EndpointSlices, one for each endpoint, as an API server tells of them: an API server itself refuses loopback
 * addresses, and the tests of nginx have no others.
 */
export interface TestService {
  readonly kubernetes: Pick<Kubernetes, 'list' | 'watch' | 'close'>;
  /** From now on these are its ready endpoints. */
  set(backends: readonly Backend[]): void;
  /** The API server goes away, or comes back. */
  away(isAway: boolean): void;
}

export function createTestService(initial: readonly Backend[]): TestService {
  const changes = new EventEmitter().setMaxListeners(0);
  let version = 1;
  let isAway = false;
  let slices = initial.map(sliceOf);

  function answer(): void {
    if (isAway) throw new ApiError('Unreachable', 'the API server is away');
  }

  async function* watch({ signal }: WatchOptions) {
    let known = slices;
    for (;;) {
      await once(changes, 'change', signal === undefined ? {} : { signal });
      answer();
      for (const object of slices) yield { type: 'MODIFIED', object } as const;
      const names = new Set(slices.map(({ metadata }) => metadata.name));
      for (const object of known.filter(({ metadata }) => !names.has(metadata.name))) {
        yield { type: 'DELETED', object } as const;
      }
      known = slices;
    }
  }

  const kubernetes = {
    list: async (_resource: unknown, _options?: ListOptions) => {
      answer();
      return { items: slices, resourceVersion: String(version) };
    },
    watch: (_resource: unknown, options: WatchOptions) => watch(options),
    close: async () => {},
  };
  return {
    // Only EndpointSlices are ever asked for.
    kubernetes: kubernetes as unknown as Pick<Kubernetes, 'list' | 'watch' | 'close'>,
    set(backends) {
      version += 1;
      slices = backends.map(sliceOf);
      changes.emit('change');
    },
    away(gone) {
      isAway = gone;
      changes.emit('change');
    },
  };
}

function sliceOf({ address, port }: Backend): Stored<EndpointSlice> {
  const name = `webapi-${port}`;
  return {
    metadata: { name, uid: name, resourceVersion: '1', creationTimestamp: '' },
    addressType: 'IPv4',
    ports: [{ name: 'http', port }],
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
  };
}
