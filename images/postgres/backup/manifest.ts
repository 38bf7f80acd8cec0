import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { extract } from 'tar-stream';
import { z } from 'zod';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import { formatLsn, type Lsn, laterOf, lsn, parseLsn } from '../../../lib/shard/lsn.ts';

const NAME = 'backup_manifest';
const MAX_BYTES = 512 * 1024 * 1024;

const manifestSchema = z.object({
  Files: z.array(
    z.object({
      Path: z.string().optional(),
      'Encoded-Path': z.string().optional(),
      Size: z.int(),
      'Checksum-Algorithm': z.string().optional(),
      Checksum: z.string().optional(),
    }),
  ),
  'WAL-Ranges': z.array(z.object({ Timeline: z.int(), 'Start-LSN': z.string(), 'End-LSN': z.string() })).min(1),
  'Manifest-Checksum': z.string(),
});

/** What a base backup says of itself. */
export interface Verified {
  readonly timeline: number;
  readonly startLsn: string;
  readonly stopLsn: string;
  readonly sizeBytes: number;
}

interface Seen {
  readonly sizeBytes: number;
  readonly sha256: string;
}

/**
 * Checks a base backup while it goes by: every file of PostgreSQL's manifest is in the tar with its size and its SHA-256,
 * no other is, and the manifest is whole. PostgreSQL's own pg_verifybackup reads no tar before 18.
 */
export function createVerifier() {
  const tar = extract();
  const seen = new Map<string, Seen>();
  let manifest: Buffer | undefined;

  const reading = (async () => {
    for await (const entry of tar) {
      const { name, type } = entry.header;
      const hash = createHash('sha256');
      const kept: Buffer[] = [];
      let sizeBytes = 0;
      for await (const chunk of entry as AsyncIterable<Buffer>) {
        hash.update(chunk);
        sizeBytes += chunk.length;
        if (name === NAME) kept.push(chunk);
        if (name === NAME && sizeBytes > MAX_BYTES) throw invalid('its manifest is too long');
      }
      if (name === NAME) manifest = Buffer.concat(kept);
      else if (type === 'file') seen.set(name, { sizeBytes, sha256: hash.digest('hex') });
    }
  })();
  // Whoever feeds it hears of it as well.
  reading.catch(() => {});

  return {
    /** Hands everything on as it came. */
    async *watch(source: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
      for await (const chunk of source) {
        if (!tar.write(chunk)) await Promise.race([once(tar, 'drain'), reading]);
        yield chunk;
      }
      tar.end(null);
    },
    /** Resolves at its end. Throws MantaError `BackupInvalid`. */
    async verified(): Promise<Verified> {
      await reading;
      if (manifest === undefined) throw invalid('it has no manifest');
      return compare(manifest, seen);
    },
    /** It will not come to its end. */
    abandon: () => tar.destroy(invalid('it was not sent to its end')),
  };
}

function compare(bytes: Buffer, seen: ReadonlyMap<string, Seen>): Verified {
  const manifest = parseManifest(bytes);
  let sizeBytes = 0;
  const names = new Set<string>();
  for (const { Path, 'Encoded-Path': encoded, Size, Checksum } of manifest.Files) {
    const name = Path ?? Buffer.from(encoded ?? '', 'hex').toString('utf8');
    const found = seen.get(name);
    if (found === undefined) throw invalid(`${name} is missing`);
    if (found.sizeBytes !== Size || found.sha256 !== Checksum) throw invalid(`${name} is not what was sent`);
    names.add(name);
    sizeBytes += Size;
  }
  const extra = [...seen.keys()].find(name => !names.has(name));
  if (extra !== undefined) throw invalid(`${extra} is not in its manifest`);
  const ranges = manifest['WAL-Ranges'];
  const [first] = ranges;
  let start = parseLsn(first?.['Start-LSN'] ?? '0/0');
  let stop: Lsn = lsn(0n);
  let timeline = 1;
  for (const range of ranges) {
    const [from, to] = [parseLsn(range['Start-LSN']), parseLsn(range['End-LSN'])];
    if (from < start) start = from;
    stop = laterOf(stop, to);
    timeline = Math.max(timeline, range.Timeline);
  }
  return { timeline, startLsn: formatLsn(start), stopLsn: formatLsn(stop), sizeBytes };
}

/** Its last line is the checksum of all lines before. */
function parseManifest(bytes: Buffer) {
  const lastLine = bytes.lastIndexOf('\n', bytes.length - 2) + 1;
  const sum = createHash('sha256').update(bytes.subarray(0, lastLine)).digest('hex');
  try {
    const manifest = manifestSchema.parse(JSON.parse(bytes.toString('utf8')));
    if (manifest['Manifest-Checksum'] === sum) return manifest;
  } catch (cause) {
    throw invalid('its manifest cannot be read', cause);
  }
  throw invalid('its manifest is damaged');
}

function invalid(what: string, cause?: unknown): MantaError {
  return new MantaError('BackupInvalid', `the base backup is not sound: ${what}`, { cause });
}
