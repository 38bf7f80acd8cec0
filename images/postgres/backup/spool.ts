import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';
import { isLater } from './catalogue.ts';
import { parseSegmentFile, type SegmentName, segmentFile } from './names.ts';
import { own } from './site.ts';

/** A file of WAL that was received. */
export interface Spooled extends SegmentName {
  readonly path: string;
  readonly isComplete: boolean;
}

/** The directory that pg_receivewal writes to, on its way to the target. */
export interface Spool {
  readonly directory: string;
  readonly segmentBytes: number;
  /** In the order of the WAL. */
  files(): Promise<readonly Spooled[]>;
  /**
   * Makes it ready for a receiver that goes on behind a file of WAL: pg_receivewal begins behind the last complete file it
   * finds, and looks at no more than its name and size.
   */
  beginAfter(last: SegmentName | undefined): Promise<void>;
  /** A receiver that was killed leaves a file in progress that the next one may refuse; it is received anew. */
  dropProgress(): Promise<void>;
  /** The text of a timeline's history that came with its WAL. */
  history(name: string): Promise<string | undefined>;
  remove(file: Spooled): Promise<void>;
}

const PARTIAL = '.partial';

export function createSpool(account: ServerAccount, directory: string, segmentBytes: number): Spool {
  async function files(): Promise<readonly Spooled[]> {
    const names = await readdir(directory).catch(() => []);
    return names
      .flatMap(name => {
        const segment = parseSegmentFile(name.replace(PARTIAL, ''), segmentBytes);
        if (segment === undefined) return [];
        return [{ ...segment, path: join(directory, name), isComplete: !name.endsWith(PARTIAL) }];
      })
      .sort((a, b) => (isLater(a, b) ? 1 : -1));
  }

  return {
    directory,
    segmentBytes,
    files,
    async beginAfter(last) {
      await rm(directory, { recursive: true, force: true });
      await mkdir(directory, { recursive: true, mode: 0o700 });
      own(account, directory);
      if (last === undefined) return;
      const path = join(directory, segmentFile(last, segmentBytes));
      const file = await open(path, 'w', 0o600);
      await file.truncate(segmentBytes);
      await file.close();
      own(account, path);
    },
    async dropProgress() {
      for (const file of await files()) if (!file.isComplete) await rm(file.path, { force: true });
    },
    history: name => readFile(join(directory, name), 'utf8').catch(() => undefined),
    remove: file => rm(file.path, { force: true }),
  };
}

/** Whether a file is one that was received, not the mark of where to begin: its first page names its own place. */
export async function isReceived(file: Spooled, segmentBytes: number): Promise<boolean> {
  if (file.isComplete && (await stat(file.path)).size !== segmentBytes) return false;
  const handle = await open(file.path, 'r');
  try {
    const header = Buffer.alloc(16);
    await handle.read(header, 0, 16, 0);
    const hasMagic = header.readUInt16LE(0) !== 0;
    return hasMagic && header.readBigUInt64LE(8) === file.number * BigInt(segmentBytes);
  } finally {
    await handle.close();
  }
}
