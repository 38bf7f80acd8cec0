import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../../lib/eventually/eventually.ts';
import { readPostmasterFile } from './postmaster-file.ts';
import { serverProcesses } from './processes.ts';
import { createTestPlace, noSettings, standbyOf, type TestPeer, type TestPlace } from './testing.ts';

let place: TestPlace;
beforeAll(async () => {
  place = await createTestPlace();
}, 60_000);
afterAll(() => place.remove());
afterEach(() => place.clear());

const soon = () => AbortSignal.timeout(20_000);

function postmasterPid(peer: TestPeer): number {
  return readPostmasterFile(peer.dataDirectory())?.pid ?? 0;
}

it('a new server is initialised, started, observed and stopped', async () => {
  const peer = await place.empty('p');
  expect((await peer.server.observe()).directory).toEqual({ kind: 'none' });
  const incarnation = await peer.server.initialise(soon());
  expect((await peer.server.observe()).directory).toEqual({ kind: 'unfinished' });
  peer.adopt(incarnation);
  await peer.start(noSettings);
  await peer.sees(view => view.answered !== undefined);
  expect(await peer.server.observe()).toMatchObject({
    process: { kind: 'up' },
    directory: { kind: 'usable', incarnation, pgMajor: peer.server.pgMajor, timeline: 1, isClean: false },
    oldIncarnations: [],
    written: noSettings,
    answered: { inRecovery: false, timeline: 1, ssn: [], readOnly: false, senders: [], ancestry: [] },
    unansweredSince: undefined,
    crashedAt: undefined,
    drift: undefined,
  });
  const [settings] = await peer.sql.query(
    `SELECT current_setting('data_checksums') AS sums, current_setting('server_encoding') AS encoding,
       current_setting('lc_collate') AS collate, current_setting('fsync') AS fsync`,
  );
  expect(settings).toEqual({ sums: 'on', encoding: 'UTF8', collate: 'C', fsync: 'on' });
  await peer.server.stop('fast', soon());
  const after = await peer.server.observe();
  expect(after).toMatchObject({ process: { kind: 'none' }, directory: { isClean: true, wasStandby: false } });
  expect(after.answered).toBeUndefined();
}, 60_000);

it('roles and databases are made once, with a second call writing nothing, and a new password is taken over', async () => {
  const peer = await place.copy('p');
  await peer.start({ ...noSettings, gate: 'open', databases: ['app', 'other'] });
  expect(await peer.server.createDatabases(['app', 'other'])).toBe(true);
  // Whatever writes a row of these leaves another xmin.
  const rowsOf = () =>
    peer.sql.query(
      `SELECT 'role' AS kind, rolname AS name, xmin FROM pg_authid
       UNION ALL SELECT 'member', member::text || roleid::text, xmin FROM pg_auth_members
       UNION ALL SELECT 'setting', setrole::text, xmin FROM pg_db_role_setting
       UNION ALL SELECT 'database', datname || datacl::text, xmin FROM pg_database
       UNION ALL SELECT 'function', proname || proacl::text, xmin FROM pg_proc WHERE proacl IS NOT NULL
       ORDER BY 1, 2`,
    );
  const made = await rowsOf();
  expect(await peer.server.createDatabases(['app', 'other'])).toBe(false);
  await peer.server.createRoles();
  expect(await rowsOf()).toEqual(made);
  const rows = await peer.sql.query(
    `SELECT rolname FROM pg_roles WHERE rolname LIKE 'manta%' AND rolcanlogin ORDER BY rolname`,
  );
  expect(rows.map(row => row.rolname)).toEqual([
    'manta_dump',
    'manta_jobsupervisor',
    'manta_migrate',
    'manta_monitor',
    'manta_move',
    'manta_ops',
    'manta_replication',
    'manta_webapi',
  ]);
  expect(await peer.sql.query('SELECT rolname FROM pg_roles WHERE rolsuper')).toEqual([{ rolname: 'postgres' }]);
  await peer.server.tryLogin();
  const file = join(place.dir, 'passwords', 'manta_webapi');
  const before = readFileSync(file, 'utf8');
  writeFileSync(file, 'another\n');
  try {
    await expect(peer.server.tryLogin()).rejects.toMatchObject({ code: 'LoginRefused' });
    await peer.server.createRoles();
    await peer.server.tryLogin();
  } finally {
    writeFileSync(file, before);
  }
}, 60_000);

it('settings changed behind the sitter show as drift, and the next reload takes them back', async () => {
  const peer = await place.copy('p');
  await peer.start({ ...noSettings, ssn: ['peer-1'] });
  await peer.sees(view => view.answered?.ssn[0] === 'peer-1' && view.drift === undefined);
  await peer.sql.query(`ALTER SYSTEM SET synchronous_standby_names = ''`);
  await peer.sql.query('SELECT pg_reload_conf()');
  await peer.sees(view => view.drift?.startsWith('synchronous_standby_names is ""'), 8_000);
  await peer.server.reload();
  await peer.sees(view => view.drift === undefined && view.answered?.ssn[0] === 'peer-1');
  writeFileSync(join(peer.dataDirectory(), 'pg_hba.conf'), 'host all all all trust\n');
  await peer.sees(view => view.drift === 'pg_hba.conf was changed', 8_000);
}, 60_000);

it('a backend that outlives its postmaster remains until it is proved gone, and nothing starts before', async () => {
  const peer = await place.copy('p');
  await peer.start(noSettings);
  // Busy in a loop that looks for nothing: it does not notice the postmaster's end for a while.
  const busy = peer.sql.query(`SELECT count(*) FROM generate_series(1, 1000000000)`).catch(() => 'ended');
  await eventually(async () => (await peer.server.observe()).answered !== undefined);
  await sleep(200);
  process.kill(postmasterPid(peer), 'SIGKILL');
  await peer.sees(view => view.process.kind === 'remains');
  expect((await peer.server.observe()).crashedAt).toBeDefined();
  await expect(peer.server.start(soon())).rejects.toMatchObject({ code: 'PostgresRemains' });
  await peer.server.stop('kill', soon());
  expect(serverProcesses(join(peer.dir, 'pg'))).toEqual([]);
  expect((await peer.server.observe()).process.kind).toBe('none');
  expect(await busy).toBe('ended');
  await peer.server.start(soon());
}, 60_000);

it('a stale postmaster.pid that names a living stranger does not keep the server from starting', async () => {
  const peer = await place.copy('p');
  // Of the server's own account: it asks nobody else's.
  const stranger = spawn('sleep', ['60'], process.getuid?.() === 0 ? { uid: 65_534 } : {});
  try {
    writeFileSync(
      join(peer.dataDirectory(), 'postmaster.pid'),
      `${stranger.pid}\n${peer.dataDirectory()}\n0\n${peer.endpoint.port}\n\n\n\nready   \n`,
    );
    await peer.start(noSettings);
    expect(postmasterPid(peer)).not.toBe(stranger.pid);
    expect(stranger.exitCode).toBeNull();
  } finally {
    stranger.kill();
  }
}, 60_000);

it('a server that does not start says why', async () => {
  const peer = await place.copy('p');
  await peer.server.writeSettings({ ...noSettings, parameters: { shared_buffers: 'nonsense' } });
  await expect(peer.server.start(soon())).rejects.toMatchObject({
    code: 'PostgresStart',
    message: expect.stringContaining('shared_buffers'),
  });
  expect(await peer.server.observe()).toMatchObject({ process: { kind: 'none' }, answered: undefined });
}, 60_000);

it('the end of the sitter is the end of its server', async () => {
  const peer = await place.copy('p');
  const script = `
    const { createServer } = await import(${JSON.stringify(join(import.meta.dirname, 'create-server.ts'))});
    const { systemClock } = await import(${JSON.stringify(join(import.meta.dirname, '../../../lib/lifecycle/clock.ts'))});
    const { pino } = await import('pino');
    const server = await createServer(
      { logger: pino({ level: 'silent' }), clock: systemClock, currentIncarnation: () => 'first', randomName: () => 'x', onChange() {} },
      ${JSON.stringify({
        id: 'p',
        dataDir: peer.dir,
        runDir: join(peer.dir, 'run2'),
        passwordDir: join(place.dir, 'passwords'),
        listen: '127.0.0.1',
        port: peer.endpoint.port,
        ownHost: '127.0.0.1',
        peerNetworks: ['all'],
        rebuildMaxRateKb: 1_000,
        times: { stopFastMs: 1_000, stopImmediateMs: 1_000 },
      })});
    await server.writeSettings(${JSON.stringify(noSettings)});
    await server.start(AbortSignal.timeout(20000));
    process.kill(process.pid, 'SIGKILL');`;
  const sitter = spawn(process.execPath, ['--input-type=module', '--no-warnings', '-e', script], {
    cwd: import.meta.dirname,
    stdio: 'inherit',
  });
  await new Promise(resolve => sitter.once('exit', resolve));
  expect(sitter.signalCode).toBe('SIGKILL');
  await eventually(() => serverProcesses(join(peer.dir, 'pg')).length === 0, 8_000);
}, 60_000);

it('a base backup is verified and complete, or it is recognised as unfinished', async () => {
  const source = await place.copy('source');
  await source.start(noSettings);
  await source.sql.query(`CREATE TABLE big AS SELECT repeat('x', 500) FROM generate_series(1, 20000)`);
  const peer = await place.empty('copy');
  const parts: number[] = [];
  const stopped = new AbortController();
  const interrupted = peer.server.baseBackup(source.endpoint, stopped.signal, part => parts.push(part));
  await eventually(() => existsSync(join(peer.dir, 'pg', 'made1', 'base')), 10_000);
  stopped.abort(new Error('given up'));
  await expect(interrupted).rejects.toThrow('given up');
  expect((await peer.server.observe()).directory).toEqual({ kind: 'unfinished' });

  const incarnation = await peer.server.baseBackup(source.endpoint, soon(), part => parts.push(part));
  expect(Math.max(...parts)).toBeGreaterThan(0.9);
  peer.adopt(incarnation);
  expect((await peer.server.observe()).oldIncarnations).toEqual(['made1']);
  await peer.server.removeOldIncarnations();
  expect(existsSync(join(peer.dir, 'pg', 'made1'))).toBe(false);
  await peer.server.writeReceiverPassword('current');
  await peer.start(standbyOf(source));
  await peer.sees(view => view.answered?.isStreaming);
  const [{ system: theirs } = {}] = await source.sql.query(
    'SELECT system_identifier::text AS system FROM pg_control_system()',
  );
  expect((await peer.server.observe()).directory).toMatchObject({ kind: 'usable', systemId: theirs });
}, 60_000);
