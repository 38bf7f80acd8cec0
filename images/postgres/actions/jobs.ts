import { codeOf, MantaError } from '../../../lib/errors/manta-error.ts';
import type { ActionOf } from '../action.ts';
import type { Ports } from '../ports.ts';
import type { DirectoryView } from '../server.ts';
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

/**
 * Of a server that is down, or of one that could not follow, which is stopped for it. What pg_rewind cannot mend, or left
 * half done, is current no more, and is rebuilt (§7.9 step 5).
 */
export function rewind(ports: Ports, _: Snapshot, { from }: ActionOf<'rewind'>): void {
  const { jobs, server, local } = ports;
  jobs.start('rewind', async signal => {
    const before = await server.observe();
    const hasStrayed = before.process.kind !== 'none';
    if (hasStrayed) await server.stop('fast', signal);
    try {
      await server.rewind(from, signal);
      const { directory } = await server.observe();
      if (hasStrayed && timelineOf(directory) === timelineOf(before.directory)) {
        throw new MantaError('RebuildFailed', 'there was nothing to rewind, and yet it cannot follow');
      }
    } catch (error) {
      // Nothing was begun then.
      if (codeOf(error) !== 'SourceUnreachable') await local.save({ incarnation: null });
      throw error;
    }
  });
}

function timelineOf(directory: DirectoryView): number | undefined {
  return directory.kind === 'usable' ? directory.timeline : undefined;
}

/** After one of a promoted server others may rewind from it (K9). Nobody has to wait for it. */
export function checkpoint({ jobs, server, record }: Ports): void {
  jobs.start('checkpoint', async signal => {
    await unlessAborted(server.checkpoint(), signal);
    if (!record.rewindable) await record.set({ rewindable: true });
  });
}

function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}

/** Of the promotions of the directory before it, the new one knows nothing. */
async function becomeCurrent({ local, server }: Ports, incarnation: string): Promise<void> {
  await local.save({ incarnation, promotedTimelines: [] });
  const { directory } = await server.observe();
  if (directory.kind === 'usable') await local.save({ systemId: directory.systemId });
}
