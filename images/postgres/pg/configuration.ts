import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';
import type { Settings } from '../server.ts';
import { filesDrift, settingsDrift, type WrittenFiles } from './drift.ts';
import { removeFile, replaceFile, replaceVolatileFile } from './durable-file.ts';
import { type HbaContext, pgHba, pgIdent } from './hba.ts';
import { postgresqlConf, type SettingsContext } from './settings.ts';

/** The configuration files of the current data directory, and whether the server holds to them. */
export interface Configuration {
  /** As last written to the current directory by this process. */
  written(dataDirectory: string | undefined): Settings | undefined;
  /**
   * All of the files, each at once; only `standby.signal` durably. What stands there already in these very words is not
   * written again. A process that has written nothing yet writes all of them, and the server never starts before.
   */
  write(dataDirectory: string, settings: Settings): Promise<void>;
  /** Before each start and reload: what somebody else has put into postgresql.auto.conf is taken out and logged. */
  emptyAutoConf(dataDirectory: string): Promise<void>;
  /** The server was started, or told to read them. */
  loaded(): void;
  /** Somebody else has replaced the files. */
  forget(): void;
  /** Of the safety set; from memory, and checked against the files in the background. */
  drift(
    dataDirectory: string,
    inForce: Readonly<Record<string, string>> | undefined,
    inRecovery: boolean,
  ): string | undefined;
}

/** Processes follow a reload in their own time. */
const FOLLOW_MS = 1_000;
const FILES_EVERY_MS = 5_000;

export function createConfiguration(
  deps: { logger: Logger; clock: Clock; account: ServerAccount },
  context: () => SettingsContext & HbaContext,
  users: readonly string[],
): Configuration {
  let files: (WrittenFiles & { readonly dataDirectory: string }) | undefined;
  let inUse: Settings | undefined;
  let loadedAt = 0;
  let filesAt = Number.NEGATIVE_INFINITY;
  let filesSay: string | undefined;
  const known = (dataDirectory: string | undefined) => (files?.dataDirectory === dataDirectory ? files : undefined);

  async function writeAll(dataDirectory: string, settings: Settings) {
    const before = known(dataDirectory);
    const now = context();
    const next = { dataDirectory, settings, conf: postgresqlConf(settings, now), hba: pgHba(settings, now) };
    files = undefined;
    const put = (name: string, text: string) => replaceVolatileFile(deps.account, join(dataDirectory, name), text);
    if (before === undefined) await put('pg_ident.conf', pgIdent(users));
    if (before?.hba !== next.hba) await put('pg_hba.conf', next.hba);
    if (before?.conf !== next.conf) await put('postgresql.conf', next.conf);
    const signal = join(dataDirectory, 'standby.signal');
    const isThere = await stat(signal).then(
      () => true,
      () => false,
    );
    if (settings.role === 'standby' && (before === undefined || !isThere)) await replaceFile(deps.account, signal, '');
    if (settings.role === 'primary' && (before === undefined || isThere)) await removeFile(signal);
    files = next;
  }

  async function checkFiles(dataDirectory: string, inRecovery: boolean) {
    const mine = known(dataDirectory);
    const say = mine === undefined ? undefined : await filesDrift(dataDirectory, mine, inRecovery);
    // Written anew meanwhile: what was read is neither the old nor the new.
    if (mine === known(dataDirectory)) filesSay = say;
  }

  return {
    written: dataDirectory => known(dataDirectory)?.settings,
    async write(dataDirectory, settings) {
      await writeAll(dataDirectory, settings);
      filesSay = undefined;
    },
    async emptyAutoConf(dataDirectory) {
      const path = join(dataDirectory, 'postgresql.auto.conf');
      if ((await stat(path).catch(() => undefined))?.size === 0) return;
      if (known(dataDirectory) !== undefined && inUse !== undefined)
        deps.logger.error({ path }, 'somebody changed settings by ALTER SYSTEM; they are taken back');
      await replaceFile(deps.account, path, '');
    },
    loaded() {
      inUse = files?.settings;
      loadedAt = deps.clock.monotonic();
      filesAt = Number.NEGATIVE_INFINITY;
    },
    forget() {
      files = undefined;
      inUse = undefined;
      filesSay = undefined;
    },
    drift(dataDirectory, inForce, inRecovery) {
      const now = deps.clock.monotonic();
      if (now - filesAt > FILES_EVERY_MS) {
        filesAt = now;
        void checkFiles(dataDirectory, inRecovery);
      }
      if (filesSay !== undefined) return filesSay;
      if (inForce === undefined || inUse === undefined || now - loadedAt < FOLLOW_MS) return undefined;
      return settingsDrift(inForce, inUse);
    },
  };
}
