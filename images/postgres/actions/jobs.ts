import type { ActionOf } from '../action.ts';
import type { Ports } from '../ports.ts';
import type { Snapshot } from '../snapshot.ts';
import { stateOf } from './commit.ts';
import { saveHighWater } from './local.ts';

/** PostgreSQL in a role. The password is there only for a role that receives, so that a cut outlives a crash (§7.5). */
export function start(ports: Ports, s: Snapshot, { settings }: ActionOf<'start'>): void {
  ports.jobs.start('start', async signal => {
    await saveHighWater(ports, s);
    await ports.server.writeReceiverPassword(settings.upstream === undefined ? 'empty' : 'current');
    await ports.server.writeSettings(settings);
    await ports.server.start(signal);
  });
}

export function stop({ jobs, server, logger }: Ports, _: Snapshot, { mode, why }: ActionOf<'stop'>): void {
  logger.info({ mode, why }, 'postgres stopping');
  jobs.start('stop', signal => server.stop(mode, signal));
}

/** B2: the only initdb there is. */
export function initialise(ports: Ports): void {
  ports.jobs.start('initialise', async signal => becomeCurrent(ports, await ports.server.initialise(signal)));
}

export function restore(ports: Ports): void {
  const source = stateOf(ports.store).restore;
  if (source === undefined) return;
  ports.jobs.start('restore', async signal => {
    await becomeCurrent(ports, await ports.server.restore(source.from, source.until, signal));
  });
}

export function baseBackup(ports: Ports, _: Snapshot, { from }: ActionOf<'base-backup'>): void {
  ports.jobs.start('base-backup', async (signal, onProgress) => {
    await becomeCurrent(ports, await ports.server.baseBackup(from, signal, onProgress));
  });
}

export function rewind(ports: Ports, _: Snapshot, { from }: ActionOf<'rewind'>): void {
  ports.jobs.start('rewind', signal => ports.server.rewind(from, signal));
}

/** After one of a promoted server others may rewind from it (K9). */
export function checkpoint({ jobs, server, record }: Ports): void {
  jobs.start('checkpoint', async () => {
    await server.checkpoint();
    if (!record.rewindable) await record.set({ rewindable: true });
  });
}

async function becomeCurrent({ local, server }: Ports, incarnation: string): Promise<void> {
  await local.save({ incarnation });
  const { directory } = await server.observe();
  if (directory.kind === 'usable') await local.save({ systemId: directory.systemId });
}
