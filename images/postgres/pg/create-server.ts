import { chownSync, mkdirSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Logger } from 'pino';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import { chooseAccount, type ServerAccount } from '../../../lib/postgres-process/account.ts';
import { makeSocketDirectory } from '../../../lib/socket-directory/socket-directory.ts';
import { openTarget } from '../backup/open-target.ts';
import { restoreBackup } from '../backup/restore.ts';
import type { BackupSite } from '../backup/site.ts';
import type { InForce, Positions, Server, ServerView } from '../server.ts';
import { type Binaries, findBinaries } from './binaries.ts';
import type { ServerConfig } from './config.ts';
import { type Configuration, createConfiguration } from './configuration.ts';
import { bringDatabasesAbout, missingDatabases, tryLogin } from './databases.ts';
import { createDirectories, type Directories } from './directory.ts';
import { createFreeSpace, freeSpaceOf } from './free-space.ts';
import { readPositions, readSenders } from './look.ts';
import { createPasswords, type Passwords } from './passwords.ts';
import { createPostmaster, type Postmaster, terminateProcess } from './postmaster.ts';
import { createProbe, type Probe, timelineOf } from './probe.ts';
import { placePlaceholders, removePlaceholders } from './promotion.ts';
import { createPulse, type Pulse } from './pulse.ts';
import { createReceiverPassword, listReceivers, type ReceiverPassword } from './receiver.ts';
import { bringRolesAbout } from './roles.ts';
import { createSeed, type Seed } from './seed.ts';
import { createSession, type Session, type SocketAddress, withSession } from './session.ts';
import { keepSlots } from './slots.ts';
import { parseSsn } from './ssn.ts';
import { sitterUsers } from './users.ts';
import { recordAt } from './wal.ts';

export interface ServerDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  /** Of the local record: which data directory is current. Whoever records another one makes it so. */
  readonly currentIncarnation: () => string | null;
  /** Random names of new incarnations. */
  readonly randomName: () => string;
  /** Called when the server has come up or ended: there is something to observe. */
  readonly onChange: () => void;
}

/** The server, and what its owner needs to know of the programs behind it. */
export interface PgServer extends Server {
  readonly pgMajor: number;
  /** For the backups, which are made beside all of this. */
  readonly site: BackupSite;
}

/** How long a command may take to be answered. */
const COMMAND_MS = 2_000;
/** A look that takes longer is tried again on a new connection, in case only that one hangs. */
const LOOK_MS = 1_000;
/** Statements that write wait for the sync. */
const WRITE_MS = 15_000;
const CHECKPOINT_MS = 600_000;

/** Clients: all but the sitter and the other peers' sitters. */
const CLIENTS = `backend_type = 'client backend' AND usename NOT IN ('postgres', 'manta_replication')`;

/** What the methods share. */
interface Parts {
  readonly deps: ServerDeps;
  readonly config: ServerConfig;
  readonly binaries: Binaries;
  readonly account: ServerAccount;
  readonly address: SocketAddress;
  readonly directories: Directories;
  readonly postmaster: Postmaster;
  readonly configuration: Configuration;
  readonly passwords: Passwords;
  readonly receiverPassword: ReceiverPassword;
  readonly probe: Probe;
  readonly pulse: Pulse;
  readonly command: Session;
  readonly seed: Seed;
  readonly free: ReturnType<typeof createFreeSpace>;
}

/**
 * PostgreSQL on this machine behind the sitter's primitives. Makes its directories, finds the programs and empties the
 * receiver's password file; touches nothing else before it is asked. Throws MantaError `PostgresMissing` or
 * `PostgresAccount` where this machine cannot run it.
 */
export async function createServer(deps: ServerDeps, config: ServerConfig): Promise<PgServer> {
  const parts = await assemble(deps, config);
  return {
    pgMajor: parts.binaries.major,
    site: siteOf(parts),
    observe: () => observe(parts),
    ...configurationMethods(parts),
    ...replicationMethods(parts),
    ...lifeMethods(parts),
    ...seedMethods(parts),
  };
}

async function assemble(deps: ServerDeps, config: ServerConfig): Promise<Parts> {
  const binaries = findBinaries(config.binDir);
  for (const dir of [config.dataDir, config.runDir]) mkdirSync(dir, { recursive: true });
  const root = join(realpathSync(config.dataDir), 'pg');
  const walRoot = config.walDir === undefined ? undefined : join(realpathSync(config.walDir), 'wal');
  const runDir = realpathSync(config.runDir);
  const account = chooseAccount([root, runDir, ...(walRoot === undefined ? [] : [walRoot]), binaries.dir]);
  const socketDir = makeSocketDirectory(join(runDir, 'socket'), `.s.PGSQL.${config.port}.lock`, account.uid);
  for (const dir of [root, socketDir, ...(walRoot === undefined ? [] : [walRoot])]) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    if (account.uid !== undefined && account.gid !== undefined) chownSync(dir, account.uid, account.gid);
  }
  const address = { socketDir, port: config.port };
  const passwords = createPasswords(config.passwordDir);
  const receiverPassword = createReceiverPassword({ passwords, account }, join(runDir, 'receiver.pass'));
  const directories = createDirectories(
    { binaries, account, currentIncarnation: deps.currentIncarnation },
    { root, walRoot },
  );
  const volumes = walRoot === undefined ? [root] : [root, walRoot];
  const walVolumeBytes = (await freeSpaceOf([walRoot ?? root])).totalBytes;
  const context = () => ({
    ...config,
    major: binaries.major,
    socketDir,
    receiverPasswordFile: receiverPassword.path,
    walVolumeBytes,
  });
  return {
    deps,
    config,
    binaries,
    account,
    address,
    directories,
    passwords,
    receiverPassword,
    postmaster: createPostmaster({ ...deps, binaries, account }, { root, ...address, ...config.times }),
    configuration: createConfiguration({ ...deps, account }, context, sitterUsers(account)),
    probe: createProbe({ ...deps, session: createSession(address, { name: 'look', deadlineMs: LOOK_MS }) }),
    pulse: createPulse({ ...deps, session: createSession(address, { name: 'pulse', deadlineMs: WRITE_MS }) }),
    command: createSession(address, { name: 'command', deadlineMs: COMMAND_MS }),
    seed: createSeed({ binaries, account, directories, passwords }, { ...config, runDir }),
    free: createFreeSpace(deps, volumes),
  };
}

function siteOf({ config, binaries, account, passwords, address }: Parts): BackupSite {
  const { id, ownHost: host, port, dataDir, runDir, tls } = config;
  const endpoint = { id, host, port };
  const places = { dataDir: realpathSync(dataDir), runDir: realpathSync(runDir) };
  return { binaries, account, passwords, address, endpoint, ...places, ...(tls === undefined ? {} : { tls }) };
}

async function observe(parts: Parts): Promise<ServerView> {
  const { deps, directories, postmaster, probe, pulse, configuration } = parts;
  const incarnation = deps.currentIncarnation();
  const dataDirectory = incarnation === null ? undefined : directories.path(incarnation);
  const isUp = postmaster.view().kind === 'up';
  if (isUp && dataDirectory !== undefined) {
    await probe.look(dataDirectory);
    const answered = probe.answered();
    if (answered !== undefined) pulse.beat(answered.inRecovery);
  }
  const process = postmaster.view();
  // What a server said that has ended since is not said of the next one.
  if (process.kind !== 'up' && isUp) forgetServer(parts);
  const answered = process.kind === 'up' ? probe.answered() : undefined;
  const since = [probe.unansweredSince(), pulse.unansweredSince()].filter(at => at !== undefined);
  return {
    process,
    directory: await directories.view(process.kind !== 'none').catch(() => ({ kind: 'unfinished' as const })),
    oldIncarnations: directories.incarnations().filter(name => name !== incarnation),
    written: configuration.written(dataDirectory),
    receiverPassword: parts.receiverPassword.state(),
    answered,
    unansweredSince: process.kind === 'up' && since.length > 0 ? Math.min(...since) : undefined,
    crashedAt: postmaster.crashedAt(),
    starts: postmaster.starts(),
    free: parts.free(),
    drift:
      process.kind === 'up' && dataDirectory !== undefined
        ? configuration.drift(dataDirectory, probe.settings(), answered?.inRecovery ?? false)
        : undefined,
  };
}

function forgetServer({ probe, pulse, command }: Parts) {
  probe.forget();
  pulse.forget();
  command.drop();
}

function configurationMethods(parts: Parts) {
  const { configuration, directories, command, address } = parts;
  return {
    writeSettings: async settings => configuration.write(directories.current(), settings),
    async reload() {
      await configuration.emptyAutoConf(directories.current());
      await command.query('SELECT pg_reload_conf()');
      configuration.loaded();
    },
    inForce: () => withSession(address, { name: 'in force', deadlineMs: COMMAND_MS }, readInForce),
    senders: () => readSenders(command),
    async terminate(pid) {
      terminateProcess(directories.root, pid);
    },
    async terminateClients() {
      const rows = await command.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${CLIENTS}`);
      return rows.length;
    },
    async openTransactions() {
      const [row] = await command.query<{ open: number }>(
        `SELECT count(*)::int AS open FROM pg_stat_activity WHERE ${CLIENTS} AND xact_start IS NOT NULL`,
      );
      return row?.open ?? 0;
    },
  } satisfies Partial<Server>;
}

/** A parameter that takes a restart is no error: it waits for the next one. */
const ERRORS = `
  (SELECT count(*) FROM pg_file_settings f WHERE error IS NOT NULL
     AND NOT EXISTS (SELECT FROM pg_settings s WHERE s.name = f.name AND s.context = 'postmaster'))
  + (SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL)`;

async function readInForce(session: Session): Promise<InForce> {
  const [row] = await session.query<{ ssn: string; readOnly: string; errors: number }>(
    `SELECT current_setting('synchronous_standby_names') AS ssn,
       current_setting('default_transaction_read_only') AS "readOnly", (${ERRORS})::int AS errors`,
  );
  if (row === undefined) throw new MantaError('PostgresOffline', 'no answer');
  return { ssn: parseSsn(row.ssn), readOnly: row.readOnly === 'on', errors: row.errors };
}

function replicationMethods(parts: Parts) {
  const { account, address, binaries, command, config, configuration, directories, passwords } = parts;
  const wal = () => join(directories.current(), 'pg_wal');
  const write = <Value>(name: string, deadlineMs: number, body: (session: Session) => Promise<Value>) =>
    withSession(address, { name, deadlineMs, writes: true }, body);

  async function positions(): Promise<Positions> {
    const { segmentBytes, ...seen } = await readPositions(command);
    return { ...seen, timeline: await timelineOf({ ...seen, segmentBytes }, wal()) };
  }

  return {
    writeReceiverPassword: content => parts.receiverPassword.write(content),
    receivers: () => listReceivers(command),
    async resumeReplay() {
      await command.query('SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery() AND pg_is_wal_replay_paused()');
    },
    positions,
    async hasRecordAt(timeline, position) {
      const segmentBytes = await directories.segmentBytes(directories.current());
      return (await recordAt({ account, binaries }, wal(), { timeline, position, segmentBytes })) !== undefined;
    },
    async placePlaceholders(reserved) {
      await placePlaceholders(account, wal(), (await positions()).timeline, reserved);
    },
    async promote() {
      await command.query('SELECT pg_promote(false)');
    },
    checkpoint: () => write('checkpoint', CHECKPOINT_MS, async session => void (await session.query('CHECKPOINT'))),
    async createDatabases(databases) {
      const missing = await missingDatabases(command, databases);
      if (missing.length === 0) return false;
      await write('setup', WRITE_MS, session => bringDatabasesAbout(session, address, missing));
      return true;
    },
    createRoles: () => write('setup', WRITE_MS, session => bringRolesAbout(session, passwords)),
    async tryLogin() {
      const database = configuration.written(directories.current())?.databases[0];
      // A shard without databases has no clients.
      if (database === undefined) return;
      await tryLogin(passwords, { host: config.ownHost, port: config.port, tls: config.tls !== undefined }, database);
    },
    keepSlots: downstreams => keepSlots(command, downstreams),
  } satisfies Partial<Server>;
}

function lifeMethods(parts: Parts) {
  const { configuration, directories, postmaster } = parts;
  return {
    async start(signal) {
      const dataDirectory = directories.current();
      const written = configuration.written(dataDirectory);
      if (written === undefined) throw new MantaError('PostgresOffline', 'no settings were written yet');
      forgetServer(parts);
      await configuration.emptyAutoConf(dataDirectory);
      if (written.role === 'standby') {
        const { timeline } = await directories.control(dataDirectory);
        await removePlaceholders(join(dataDirectory, 'pg_wal'), timeline);
      }
      configuration.loaded();
      await postmaster.start(dataDirectory, signal);
    },
    async stop(mode, signal) {
      await postmaster.stop(mode, signal);
      forgetServer(parts);
    },
  } satisfies Partial<Server>;
}

function seedMethods(parts: Parts) {
  const { configuration, deps, directories, postmaster, seed } = parts;
  return {
    async initialise(signal) {
      const incarnation = deps.randomName();
      await seed.initialise(incarnation, signal);
      return incarnation;
    },
    async baseBackup(from, signal, onProgress) {
      const incarnation = deps.randomName();
      await seed.baseBackup(incarnation, from, signal, onProgress);
      return incarnation;
    },
    async rewind(from, signal) {
      // It copies the source's configuration over this peer's own.
      configuration.forget();
      await seed.rewind(basename(directories.current()), from, signal);
    },
    async restore(from, until, signal) {
      const { logger } = deps;
      // What a restore before this one left half done would fill the volume.
      if (deps.currentIncarnation() === null) await directories.removeAllBut('');
      const incarnation = deps.randomName();
      const target = openTarget(from, parts.config.backupKey);
      const site = siteOf(parts);
      await restoreBackup({ logger, site, directories, postmaster, target }, { incarnation, until }, signal);
      configuration.forget();
      return incarnation;
    },
    removeOldIncarnations: async () => directories.removeAllBut(basename(directories.current())),
  } satisfies Partial<Server>;
}
