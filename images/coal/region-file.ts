import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { codeOf, MantaError } from '../../lib/errors/manta-error.ts';
import { writePrivateFile } from './private-file.ts';

const port = z.int().min(1).max(65_535);

/** `region.json` of a state directory: what lasts over a restart, and where the running region is. metadata.md §17. */
const schema = z.strictObject({
  /** Of the state directory, so that a later release can tell what it finds. */
  layout: z.literal(1),
  /** Name of the region, the issuer of its tokens. */
  name: z.string(),
  /** Of the running region; absent after an orderly stop. */
  processId: z.int().positive().optional(),
  /** Where the region listens, or did last. Node i+1 has the port `storage[i]`. */
  ports: z.strictObject({ public: port.optional(), internal: port.optional(), storage: z.array(port) }),
  /** Directory and number of the database's unix socket. */
  postgres: z.strictObject({ host: z.string(), port }).optional(),
  /** Of the roles that log in. */
  passwords: z.strictObject({ manta_migrate: z.string(), manta_webapi: z.string() }),
});

/** Contents of `region.json`. */
export type RegionFile = z.infer<typeof schema>;

/** Undefined when there is none yet. Throws MantaError `RegionFile` when it cannot be read or understood. */
export function readRegionFile(dir: string): RegionFile | undefined {
  const path = join(dir, 'region.json');
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return undefined;
    if (codeOf(cause) === 'EACCES') throw new MantaError('RegionFile', `${path} belongs to another user`, { cause });
    throw new MantaError('RegionFile', `${path} is not a region of this release`, { cause });
  }
}

/** Replaces `region.json`, mode 0600. */
export function writeRegionFile(dir: string, region: RegionFile): void {
  writePrivateFile(join(dir, 'region.json'), `${JSON.stringify(region, null, 2)}\n`);
}

/** What a new region starts from. */
export function newRegion(): RegionFile {
  const password = () => randomBytes(24).toString('base64url');
  return {
    layout: 1,
    name: 'coal',
    ports: { storage: [] },
    passwords: { manta_migrate: password(), manta_webapi: password() },
  };
}
