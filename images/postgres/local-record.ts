import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { codeOf, MantaError } from '../../lib/errors/manta-error.ts';
import { type HighWater, highWaterSchema } from '../../lib/shard/records.ts';
import type { LocalRecordFile } from './ports.ts';
import type { LocalRecord } from './snapshot.ts';

const fileSchema = z.strictObject({
  v: z.literal(1),
  shard: z.int(),
  id: z.string().min(1),
  /** Of the process that wrote it last: whoever holds the volume's lock knows that one to be dead (§6.3). */
  session: z.string().min(1),
  incarnation: z.string().nullable(),
  systemId: z.string().nullable(),
  highWater: highWaterSchema,
  promotedTimelines: z.array(z.object({ generation: z.int(), timeline: z.int() })),
});

/** The local record and what it says of the process before this one. */
export interface OpenedLocalRecord extends LocalRecordFile {
  /** The session of the process that had this volume before; undefined on a new volume. */
  readonly previousSession: string | undefined;
}

/**
 * Opens the local record (replication.md §5.3) of a volume whose lock is held, or begins one, and writes this process's
 * session into it. Throws MantaError `LocalRecordUnreadable` for a file that is not one, because whoever started without
 * its high-water marks could follow a state of the past, and `VolumeMismatch` for another peer's volume.
 */
export async function openLocalRecord(
  path: string,
  owner: { readonly shard: number; readonly id: string; readonly session: string },
): Promise<OpenedLocalRecord> {
  await mkdir(dirname(path), { recursive: true });
  const found = await load(path);
  if (found !== undefined && (found.shard !== owner.shard || found.id !== owner.id)) {
    throw new MantaError(
      'VolumeMismatch',
      `the volume belongs to ${found.id} of shard ${found.shard}, not to ${owner.id} of shard ${owner.shard}`,
    );
  }
  let current: LocalRecord = found?.record ?? {
    shard: owner.shard,
    id: owner.id,
    incarnation: null,
    systemId: null,
    highWater: { maxGeneration: 0, maxSeq: 0, lastRole: 'none', lastTimeline: 0 },
    promotedTimelines: [],
  };
  const write = (record: LocalRecord) => replaceFile(path, JSON.stringify({ v: 1, session: owner.session, ...record }));
  await write(current);
  let last: Promise<void> = Promise.resolve();

  return {
    previousSession: found?.session,
    current: () => current,
    save(change) {
      // One after the other, each on what the one before made durable.
      const saving = last
        .catch(() => {})
        .then(async () => {
          const next = merged(current, change);
          if (isDeepStrictEqual(next, current)) return;
          await write(next);
          current = next;
        });
      last = saving;
      return saving;
    },
  };
}

function merged(current: LocalRecord, change: Partial<LocalRecord>): LocalRecord {
  return { ...current, ...change, highWater: raised(current.highWater, change.highWater ?? current.highWater) };
}

/** A change that knows less than the volume takes nothing back. */
function raised(before: HighWater, after: HighWater): HighWater {
  return {
    maxGeneration: Math.max(before.maxGeneration, after.maxGeneration),
    maxSeq: Math.max(before.maxSeq, after.maxSeq),
    lastRole: after.lastRole,
    lastTimeline: Math.max(before.lastTimeline, after.lastTimeline),
  };
}

async function load(path: string) {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new MantaError('LocalRecordUnreadable', `${path} cannot be read`, { cause: error });
  }
  try {
    const { v: _, session, ...record } = fileSchema.parse(JSON.parse(text));
    return { session, shard: record.shard, id: record.id, record };
  } catch (cause) {
    throw new MantaError('LocalRecordUnreadable', `${path} is not a local record`, { cause });
  }
}

/** The new content or the old one, also after a power cut; resolves once it is the new one. */
async function replaceFile(path: string, content: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
