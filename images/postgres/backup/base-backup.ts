import { Readable } from 'node:stream';
import { withSession } from '../pg/session.ts';
import type { BaseBackup } from './catalogue.ts';
import { compressed } from './compression.ts';
import { createVerifier, type Verified } from './manifest.ts';
import { baseContent, baseMark } from './names.ts';
import { startPiped } from './program.ts';
import { type BackupSite, withOwnServer } from './site.ts';
import { type BackupTarget, putJson } from './target.ts';

export interface BaseBackupWish {
  readonly peer: string;
  /** A fast checkpoint costs the shard; a spread one takes minutes. */
  readonly checkpoint: 'fast' | 'spread';
  /** It reads no faster, kilobytes a second. */
  readonly maxRateKb: number;
}

/**
 * Makes a base backup of the server of this peer (replication.md §11.13), straight to the target: nothing of it is ever on
 * the volume. Its WAL is the archive's, so that it counts only once that has come to its end: `untilArchived` waits for
 * it. Verified, then marked. Throws MantaError `BackupInvalid`, `PostgresProgram` and what the target throws; what is
 * there then lacks its mark.
 */
export async function makeBaseBackup(
  deps: {
    readonly site: BackupSite;
    readonly target: BackupTarget;
    readonly now: () => number;
    readonly untilArchived: (verified: Verified, signal: AbortSignal) => Promise<void>;
  },
  wish: BaseBackupWish,
  signal: AbortSignal,
): Promise<BaseBackup> {
  const startedAt = new Date(deps.now()).toISOString();
  const name = `${startedAt.replaceAll(/[-:]|\.\d+/g, '')}-${wish.peer}`;
  const verified = await withOwnServer(deps.site, 'backup', connection =>
    send(deps, { ...wish, name, connection }, signal),
  );
  const endedAt = new Date(deps.now()).toISOString();
  await deps.untilArchived(verified, signal);
  const base: BaseBackup = { v: 1, name, startedAt, endedAt, peer: wish.peer, ...verified };
  await putJson(deps.target, baseMark(name), base, signal);
  return base;
}

async function send(
  { site, target }: { readonly site: BackupSite; readonly target: BackupTarget },
  { name, connection, checkpoint, maxRateKb }: BaseBackupWish & { readonly name: string; readonly connection: string },
  signal: AbortSignal,
): Promise<Verified> {
  const program = startPiped(
    site.account,
    site.binaries.path('pg_basebackup'),
    [
      `--dbname=${connection}`,
      '--pgdata=-',
      '--format=tar',
      '--wal-method=none',
      `--checkpoint=${checkpoint}`,
      '--manifest-checksums=SHA256',
      `--max-rate=${maxRateKb}`,
      '--no-password',
    ],
    signal,
  );
  const verifier = createVerifier();
  try {
    const content = Readable.from(verifier.watch(program.output), { objectMode: false });
    await target.put(baseContent(name), compressed(content), { maxBytes: await sizeAtMost(site) }, signal);
    // An output that ended early looks like any other: the program's end says why.
    await program.ended;
    return await verifier.verified();
  } finally {
    program.kill();
    verifier.abandon();
  }
}

/** Of a server that goes on growing meanwhile, and before compression. */
async function sizeAtMost({ address }: BackupSite): Promise<number> {
  const [row] = await withSession(address, { name: 'backup', deadlineMs: SIZE_MS }, session =>
    session.query<{ bytes: string }>('SELECT sum(pg_database_size(oid)) AS bytes FROM pg_database'),
  );
  return Math.ceil(1.5 * Number(row?.bytes ?? 0)) + 256 * 1024 * 1024;
}

const SIZE_MS = 60_000;
