import type { Kubernetes } from '../lib/kubernetes/kubernetes.ts';
import type { Clock } from '../lib/lifecycle/clock.ts';
import type { Applier } from '../operator/runtime/applier.ts';
import type { StatusWriter } from '../operator/runtime/status-writer.ts';
import type { ClusterNodes } from './cluster-nodes.ts';
import type { Events } from './events.ts';
import type { Informers } from './informers.ts';
import type { RegionClients } from './region-clients.ts';
import type { ProgramDefaults } from './region-view.ts';
import type { SecretStore } from './secrets/secret-store.ts';
import type { WebapiView } from './webapi-view.ts';

/** What every controller stands on. */
export interface ControllerDeps {
  readonly kubernetes: Kubernetes;
  readonly informers: Informers;
  readonly applier: Applier;
  readonly status: StatusWriter;
  readonly events: Events;
  readonly secrets: SecretStore;
  readonly clients: RegionClients;
  readonly nodes: ClusterNodes;
  readonly webapi: WebapiView;
  readonly clock: Clock;
  readonly defaults: ProgramDefaults;
}
