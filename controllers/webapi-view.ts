import { MantaError } from '../lib/errors/manta-error.ts';
import type { Stored } from '../lib/kubernetes/object.ts';
import type { Pod } from '../lib/kubernetes/resources.ts';
import type { Clock } from '../lib/lifecycle/clock.ts';
import type { Informer } from '../operator/runtime/informer.ts';
import { labels, SECRETS } from './names.ts';
import { isReady } from './pods/pod-state.ts';
import type { RegionClients } from './region-clients.ts';
import type { RegionView } from './region-view.ts';
import { POSEIDON } from './secrets/poseidon-key.ts';
import type { SecretStore } from './secrets/secret-store.ts';
import type { ReportedAccount, ReportedNode, SlotMap, WebapiClient } from './webapi-client.ts';

/** What webapi says, where one of its processes answers. */
export interface WebapiLook {
  /** To the process that answered. */
  readonly client: WebapiClient;
  /** Undefined: there is none. */
  readonly slotMap: SlotMap | undefined;
  /** The system account; undefined: there is none. */
  readonly poseidon: ReportedAccount | undefined;
  readonly nodes: readonly ReportedNode[];
}

/** The control database of a region as webapi shows it, asked once for all who want to know. */
export interface WebapiView {
  /** As it was a second ago at most; undefined while no process answers. Throws ApiError. */
  look(view: RegionView): Promise<WebapiLook | undefined>;
  /** What was known is no longer so. */
  forget(view: RegionView): void;
}

const FRESH_MS = 1_000;

export function createWebapiView(deps: {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly pods: Informer<Pod>;
  readonly secrets: SecretStore;
  readonly clients: RegionClients;
}): WebapiView {
  const known = new Map<string, { readonly at: number; readonly look: Promise<WebapiLook | undefined> }>();

  return {
    look(view) {
      const found = known.get(view.namespace);
      if (found !== undefined && deps.clock.monotonic() - found.at < FRESH_MS) return found.look;
      const look = ask(view);
      known.set(view.namespace, { at: deps.clock.monotonic(), look });
      look.catch(() => known.delete(view.namespace));
      return look;
    },
    forget: ({ namespace }) => void known.delete(namespace),
  };

  /** Of the pods that are ready, else of one that runs: before the slot map is there none of them can be ready. */
  async function ask(view: RegionView): Promise<WebapiLook | undefined> {
    const regionKey = await deps.secrets.read({ namespace: view.namespace, name: SECRETS.regionKey });
    const running = deps.pods.list(view.namespace).filter(pod => isRunning(pod, view));
    for (const pod of running.sort((a, b) => Number(isReady(b)) - Number(isReady(a)))) {
      const client = deps.clients.webapi(view, regionKey ?? {}, pod.status?.podIP ?? '');
      if (client === undefined) return undefined;
      try {
        const [slotMap, poseidon, nodes] = await Promise.all([
          client.slotMap(),
          client.account(POSEIDON),
          client.storageNodes(),
        ]);
        return { client, slotMap, poseidon, nodes };
      } catch (error) {
        // The silence of one process, or of what it stands on, is what is observed; the next one may know better.
        if (!(error instanceof MantaError)) throw error;
      }
    }
    return undefined;
  }
}

function isRunning({ metadata, status }: Stored<Pod>, view: RegionView): boolean {
  const isOwn = metadata.labels?.[labels.service] === 'webapi' && metadata.labels?.[labels.region] === view.name;
  return isOwn && status?.podIP !== undefined && metadata.deletionTimestamp === undefined;
}
