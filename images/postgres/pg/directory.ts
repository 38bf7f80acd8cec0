import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';
import type { DirectoryView } from '../server.ts';
import type { Binaries } from './binaries.ts';
import { runOrThrow } from './command.ts';
import { type ControlData, dataMajor, parseControlData } from './control.ts';
import { removeFile, replaceFile, syncDirectory } from './durable-file.ts';
import { endOfRecords, recordAt } from './wal.ts';

/**
 * The data directories of one peer, `<root>/<incarnation>/` each (replication.md §11.2). One is current, by the local
 * record. One is complete when its mark lies beside it: inside, a copy made of it would carry the mark along.
 */
export interface Directories {
  readonly root: string;
  /** Of the current incarnation. Throws MantaError `PostgresOffline` when there is none. */
  current(): string;
  path(incarnation: string): string;
  /** Where WAL of an incarnation goes when it has a volume of its own. */
  walPath(incarnation: string): string | undefined;
  isComplete(incarnation: string): boolean;
  /** Durable; whatever was written before is synced by those who wrote it. */
  markComplete(incarnation: string): Promise<void>;
  unmark(incarnation: string): Promise<void>;
  /** From memory unless the control file has changed. */
  view(isRunning: boolean): Promise<DirectoryView>;
  control(dataDirectory: string): Promise<ControlData>;
  /** Size of a WAL file, fixed when a directory is made. */
  segmentBytes(dataDirectory: string): Promise<number>;
  /** Incarnations on the volume, the current one included. */
  incarnations(): readonly string[];
  /** Removes every incarnation that `keep` does not name. */
  removeAllBut(keep: string): Promise<void>;
}

const MARK = '.complete';

const isToFollow = (dataDirectory: string) => existsSync(join(dataDirectory, 'standby.signal'));

export function createDirectories(
  deps: { binaries: Binaries; account: ServerAccount; currentIncarnation: () => string | null },
  config: { readonly root: string; readonly walRoot: string | undefined },
): Directories {
  let seen: { readonly key: string; readonly view: DirectoryView } | undefined;
  const segments = new Map<string, number>();
  const path = (incarnation: string) => join(config.root, incarnation);
  const mark = (incarnation: string) => `${path(incarnation)}${MARK}`;
  const walPath = (incarnation: string) =>
    config.walRoot === undefined ? undefined : join(config.walRoot, incarnation);

  async function control(dataDirectory: string): Promise<ControlData> {
    const { stdout } = await runOrThrow(deps.account, deps.binaries.path('pg_controldata'), ['-D', dataDirectory]);
    return parseControlData(stdout);
  }

  async function usable(incarnation: string): Promise<DirectoryView> {
    const directory = path(incarnation);
    const data = await control(directory);
    const wasInRecovery = /in recovery|in archive recovery/.test(data.state);
    const isClean = data.state === 'shut down' || data.state === 'shut down in recovery';
    return {
      kind: 'usable',
      incarnation,
      systemId: data.systemId,
      pgMajor: dataMajor(directory),
      timeline: data.timeline,
      isClean,
      end: isClean ? await endOf(directory, data, wasInRecovery) : undefined,
      wasStandby: wasInRecovery || isToFollow(directory),
    };
  }

  async function endOf(directory: string, data: ControlData, wasInRecovery: boolean) {
    const wal = join(directory, 'pg_wal');
    const { timeline, segmentBytes } = data;
    // A standby replays on start whatever lies behind: that is its end.
    if (wasInRecovery) return endOfRecords(deps, wal, { timeline, position: data.minRecoveryEnd, segmentBytes });
    const record = await recordAt(deps, wal, { timeline, position: data.checkpoint, segmentBytes });
    return record?.description.includes('CHECKPOINT_SHUTDOWN') ? record.end : undefined;
  }

  /** The record names only what was complete; without a name, a directory is one whose making did not end. */
  function missing(): DirectoryView {
    return incarnations().length > 0 ? { kind: 'unfinished' } : { kind: 'none' };
  }

  function incarnations(): string[] {
    if (!existsSync(config.root)) return [];
    return readdirSync(config.root, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(entry => entry.name);
  }

  return {
    root: config.root,
    path,
    walPath,
    current() {
      const incarnation = deps.currentIncarnation();
      if (incarnation === null) throw new MantaError('PostgresOffline', 'there is no data directory');
      return path(incarnation);
    },
    isComplete: incarnation => existsSync(mark(incarnation)),
    async markComplete(incarnation) {
      await syncDirectory(config.root);
      await replaceFile(deps.account, mark(incarnation), `${incarnation}\n`);
    },
    unmark: incarnation => removeFile(mark(incarnation)),
    async view(isRunning) {
      const incarnation = deps.currentIncarnation();
      if (incarnation === null) return missing();
      if (!existsSync(mark(incarnation))) return existsSync(path(incarnation)) ? { kind: 'unfinished' } : missing();
      const file = statSync(join(path(incarnation), 'global', 'pg_control'), { throwIfNoEntry: false });
      if (file === undefined) return { kind: 'unfinished' };
      const key = `${incarnation} ${file.mtimeMs} ${file.ino} ${isToFollow(path(incarnation))}`;
      // While the server runs, what moves is asked of the server.
      if (seen === undefined || (seen.key !== key && !isRunning) || seen.key.split(' ')[0] !== incarnation)
        seen = { key, view: await usable(incarnation) };
      const { view } = seen;
      return isRunning && view.kind === 'usable' ? { ...view, isClean: false, end: undefined } : view;
    },
    control,
    async segmentBytes(dataDirectory) {
      const bytes = segments.get(dataDirectory) ?? (await control(dataDirectory)).segmentBytes;
      segments.set(dataDirectory, bytes);
      return bytes;
    },
    incarnations,
    async removeAllBut(keep) {
      for (const name of incarnations()) {
        if (name === keep) continue;
        // The mark first: what is half removed is not complete.
        await removeFile(mark(name));
        await rm(path(name), { recursive: true, force: true });
        const wal = walPath(name);
        if (wal !== undefined) await rm(wal, { recursive: true, force: true });
      }
      await mkdir(config.root, { recursive: true });
      await syncDirectory(config.root);
    },
  };
}
