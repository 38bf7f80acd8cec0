import { readFileSync } from 'node:fs';
import type { Server } from 'node:net';
import pino from 'pino';
import { createProgress } from '../../images/coal/progress.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { startTask } from '../../lib/lifecycle/task.ts';
import { serveControl } from './control.ts';
import { serveApi, serveProxy } from './gateway.ts';
import { clusterPlanSchema } from './plan.ts';
import { bringUp, type RunningCluster } from './supervisor.ts';
import { provideVolumes } from './volumes.ts';

const VOLUMES_EVERY_MS = 2_000;

/** What the supervisor tells the process that has started it. */
export type SupervisorMessage =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'up' }
  | { readonly kind: 'failed'; readonly message: string };

/** What it gives the supervisor: sockets that listen on the loopback interface outside of the supervisor's namespaces. */
export interface ListenerMessage {
  readonly listener: 'api' | 'proxy';
}

const plan = clusterPlanSchema.parse(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')));
const logger = pino();
const tell = (message: SupervisorMessage) => {
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
};
// When this process ends, so does the first one of its namespaces, and with it all others.
process.on('disconnect', () => {
  if (!plan.isKept) process.exit(1);
});

let cluster: RunningCluster | undefined;
serveControl(plan, () => cluster);
process.on('message', ({ listener }: ListenerMessage, server: Server) => {
  if (listener === 'api') serveApi(server, plan.apiPort);
  else serveProxy(server);
});
try {
  const progress = createProgress({ clock: systemClock, write: text => tell({ kind: 'text', text }) });
  const running = await bringUp({ plan, clock: systemClock, progress });
  await provideVolumes(running.kubernetes, plan);
  startTask('volumes', VOLUMES_EVERY_MS, () => provideVolumes(running.kubernetes, plan), { logger });
  cluster = running;
  tell({ kind: 'up' });
} catch (error) {
  logger.fatal({ err: error }, 'the cluster did not come up');
  tell({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
}
