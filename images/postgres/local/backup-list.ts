import { z } from 'zod';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import { listBases } from '../backup/catalogue.ts';
import { openTarget } from '../backup/open-target.ts';
import type { CommandResult } from './commands.ts';
import { type OpenShard, sitterUrls } from './open-shard.ts';
import { table } from './print.ts';

const LIST_MS = 30_000;
const ANSWER_MS = 1_000;
/** Of a sitter's `/admin/v1/state`. */
const archivedSchema = z.object({
  id: z.string(),
  backup: z.object({
    doing: z.string(),
    archivedThrough: z.string().optional(),
    archivedAgeSeconds: z.number().optional(),
    failure: z.string().optional(),
    baseFailure: z.string().optional(),
  }),
});

/** The base backups that count, who archives now, and what stands in the way. */
export async function listBackups(shard: OpenShard): Promise<CommandResult> {
  const config = (await shard.client.read()).config?.value.backup;
  if (config === undefined) throw new MantaError('BackupMissing', 'this shard makes no backups: up --backup DIRECTORY');
  const bases = await listBases(openTarget(config.target), AbortSignal.timeout(LIST_MS));
  const rows = bases.map(base => [
    base.name,
    base.endedAt,
    String(base.timeline),
    base.startLsn,
    `${Math.ceil(base.sizeBytes / 1_048_576)} MiB`,
  ]);
  const found = (await Promise.all(sitterUrls(shard.layout).map(archivedBy))).filter(peer => peer !== undefined);
  const lines = found.flatMap(({ id, backup }) => {
    const age = backup.archivedAgeSeconds;
    const reach =
      age === undefined ? 'has archived nothing yet' : `archives; ${Math.round(age)} s ago all was archived`;
    const failures = [backup.failure, backup.baseFailure].filter(failure => failure !== undefined);
    return [`${id} ${backup.doing === 'base' ? 'makes a base backup' : reach}`, ...failures.map(text => `  ${text}`)];
  });
  const isProblem =
    bases.length === 0 || found.length === 0 || found.some(({ backup }) => backup.failure !== undefined);
  const list = table([['BASE BACKUP', 'RESTORES FROM', 'TLI', 'WAL FROM', 'SIZE'], ...rows]);
  const who = lines.length === 0 ? ['Nobody archives now.'] : lines;
  return { text: `${[config.target, '', ...list, '', ...who].join('\n')}\n`, isProblem };
}

async function archivedBy({ sitterUrl }: { readonly sitterUrl: string }) {
  try {
    const response = await fetch(`${sitterUrl}/admin/v1/state`, { signal: AbortSignal.timeout(ANSWER_MS) });
    return archivedSchema.safeParse(await response.json()).data;
  } catch {
    return undefined;
  }
}
