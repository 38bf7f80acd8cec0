import type { Settings } from '../server.ts';
import { passwordLine, receiverConninfo } from './conninfo.ts';
import { pgHba, pgIdent } from './hba.ts';
import { postgresqlConf, type SettingsContext } from './settings.ts';
import { formatSsn, parseSsn } from './ssn.ts';

const settings: Settings = {
  role: 'primary',
  ssn: ['pg-1'],
  readOnly: true,
  gate: 'closed',
  upstream: undefined,
  dumps: false,
  databases: ['index', 'control'],
  parameters: {},
};
const context: SettingsContext = {
  id: 'pg-0',
  major: 17,
  socketDir: '/run/sitter/socket',
  listen: '*',
  port: 5432,
  receiverPasswordFile: '/run/sitter/receiver.pass',
  walVolumeBytes: 100 * 1024 ** 3,
};
const upstream = { id: 'pg-0', host: 'pg-0.pg.ns.svc', port: 5432 };

/** The value a parameter ends up with: of the last line that names it. */
function valueIn(conf: string, name: string): string | undefined {
  return conf
    .split('\n')
    .findLast(line => line.startsWith(`${name} = `))
    ?.slice(`${name} = `.length);
}

describe('synchronous_standby_names', () => {
  it.each([
    [[], ''],
    [['pg-1'], '"pg-1"'],
    [['_nobody_'], '"_nobody_"'],
    [['pg-2', 'pg-1'], 'FIRST 2 ("pg-2","pg-1")'],
    [['o"dd'], '"o""dd"'],
  ] as const)('%j is written %s and read back', (names, text) => {
    expect(formatSsn(names)).toBe(text);
    expect(parseSsn(text)).toEqual(names);
  });

  it.each(['*', 'ANY 1 ("a","b")', 'FIRST 1 ("a","b")', '"a", "b"'])('%s is nothing that was asked for', text => {
    expect(parseSsn(text)).toEqual([text]);
  });
});

describe('postgresql.conf', () => {
  it('says what the sitter wishes', () => {
    const conf = postgresqlConf(settings, context);
    expect(valueIn(conf, 'synchronous_standby_names')).toBe(`'"pg-1"'`);
    expect(valueIn(conf, 'default_transaction_read_only')).toBe(`'on'`);
    expect(valueIn(conf, 'primary_conninfo')).toBe(`''`);
    expect(valueIn(conf, 'wal_keep_size')).toBe(`'16384MB'`);
    expect(valueIn(conf, 'max_slot_wal_keep_size')).toBe(`'40960MB'`);
  });

  it('lets the Shard resource change sizes, and nothing that guarantees rest on', () => {
    const parameters = {
      shared_buffers: '4GB',
      synchronous_commit: 'off',
      fsync: 'off',
      synchronous_standby_names: '',
      restart_after_crash: 'on',
      primary_conninfo: 'host=elsewhere',
    };
    const conf = postgresqlConf({ ...settings, parameters }, context);
    expect(valueIn(conf, 'shared_buffers')).toBe(`'4GB'`);
    expect(valueIn(conf, 'synchronous_commit')).toBe(`'on'`);
    expect(valueIn(conf, 'fsync')).toBe(`'on'`);
    expect(valueIn(conf, 'synchronous_standby_names')).toBe(`'"pg-1"'`);
    expect(valueIn(conf, 'restart_after_crash')).toBe(`'off'`);
    expect(valueIn(conf, 'primary_conninfo')).toBe(`''`);
  });

  it.each(['include', 'include_dir', 'a b', 'x = 1\nfsync', ''])('refuses %j as the name of a parameter', name => {
    expect(() => postgresqlConf({ ...settings, parameters: { [name]: '1' } }, context)).toThrow(
      expect.objectContaining({ code: 'SettingInvalid' }),
    );
  });

  it('keeps a value within its quotes', () => {
    const conf = postgresqlConf({ ...settings, parameters: { search_path: "a'\nfsync = off\\" } }, context);
    expect(valueIn(conf, 'search_path')).toBe(`'a''\\nfsync = off\\\\'`);
  });

  it('forbids ALTER SYSTEM and demands SCRAM of upstreams from the versions on that can', () => {
    const standby: Settings = { ...settings, role: 'standby', upstream };
    const [older, newer] = [15, 17].map(major => postgresqlConf(standby, { ...context, major }));
    expect(valueIn(older ?? '', 'allow_alter_system')).toBeUndefined();
    expect(valueIn(newer ?? '', 'allow_alter_system')).toBe(`'off'`);
    expect(valueIn(older ?? '', 'primary_conninfo')).not.toContain('require_auth');
    expect(valueIn(newer ?? '', 'primary_conninfo')).toContain('require_auth=scram-sha-256');
  });

  it('never lets a query on a standby delay replay, but on the peer that serves dumps', () => {
    const delay = (change: Partial<Settings>) =>
      valueIn(postgresqlConf({ ...settings, ...change }, context), 'max_standby_streaming_delay');
    expect(delay({ role: 'standby' })).toBe(`'0'`);
    expect(delay({ role: 'standby', dumps: true })).toBe(`'1h'`);
  });
});

describe('the receiver’s connection', () => {
  it('names the peer and the password’s file, and holds no password', () => {
    expect(receiverConninfo(upstream, context)).toBe(
      'host=pg-0.pg.ns.svc port=5432 user=manta_replication require_auth=scram-sha-256 sslmode=prefer ' +
        'gssencmode=disable connect_timeout=2 keepalives=1 keepalives_idle=2 keepalives_interval=1 keepalives_count=3 ' +
        'tcp_user_timeout=5000 application_name=pg-0 passfile=/run/sitter/receiver.pass',
    );
  });

  it('quotes odd values, and escapes passwords in their file', () => {
    expect(receiverConninfo(upstream, { ...context, id: `o'd d\\` })).toContain(
      String.raw`application_name='o\'d d\\'`,
    );
    expect(passwordLine('u', String.raw`a:b\c`)).toBe('*:*:*:u:a\\:b\\\\c\n');
  });
});

describe('pg_hba.conf', () => {
  const always = [
    'local  all  postgres  peer  map=sitter',
    'local  all  all  reject',
    'host  replication  manta_replication  10.0.0.0/8  scram-sha-256',
    'host  postgres  manta_replication  10.0.0.0/8  scram-sha-256',
    'host  postgres  manta_monitor  all  scram-sha-256',
  ];
  const clients = 'host  "index","control"  +manta_app,manta_migrate,manta_move  all  scram-sha-256';
  const dumps = 'host  "index","control"  manta_dump  all  scram-sha-256';
  const last = 'host  all  all  all  reject';
  const linesOf = (change: Partial<Settings>, tls = false) =>
    pgHba({ ...settings, ...change }, { peerNetworks: ['10.0.0.0/8'], ...(tls ? { tls } : {}) })
      .split('\n')
      .filter(line => line !== '' && !line.startsWith('#'));

  it('admits no client while the gate is closed', () => {
    expect(linesOf({})).toEqual([...always, last]);
  });

  it('admits clients to the shard’s databases while it is open', () => {
    expect(linesOf({ gate: 'open' })).toEqual([...always, clients, last]);
  });

  it('admits no client on a standby, whatever is wished', () => {
    expect(linesOf({ gate: 'open', role: 'standby' })).toEqual([...always, last]);
  });

  it('admits dumps where they are served', () => {
    expect(linesOf({ role: 'standby', dumps: true })).toEqual([...always, dumps, last]);
  });

  it('lets nobody in without SCRAM, and with TLS nobody in the clear', () => {
    for (const line of linesOf({ gate: 'open', dumps: true }, true).filter(text => text.startsWith('host')))
      expect(line).toMatch(/^(hostssl .* scram-sha-256|host {2}all {2}all {2}all {2}reject)$/);
  });
});

it('pg_ident.conf maps the sitter’s users to the superuser and nobody else', () => {
  expect(pgIdent(['root', 'nobody']).split('\n').slice(1)).toEqual([
    'sitter  "root"  postgres',
    'sitter  "nobody"  postgres',
    '',
  ]);
});
