import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { Settings } from '../server.ts';
import { receiverConninfo } from './conninfo.ts';
import { formatSsn } from './ssn.ts';

/** What the text of postgresql.conf depends on besides the sitter's wish. */
export interface SettingsContext {
  readonly id: string;
  /** Of the binaries. */
  readonly major: number;
  readonly socketDir: string;
  readonly listen: string;
  readonly port: number;
  readonly receiverPasswordFile: string;
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  /** Size of the volume the WAL is on. */
  readonly walVolumeBytes: number;
}

const MIB = 1024 * 1024;
const NAME = /^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/i;

/**
 * The whole of postgresql.conf (replication.md §11.3). The last line that names a parameter wins, so what the Shard
 * resource sets comes after the sizes and before everything that guarantees or the sitter's own doings rest on. Throws
 * MantaError `SettingInvalid` for a name that is none.
 */
export function postgresqlConf(settings: Settings, context: SettingsContext): string {
  return [
    '# Written by the sitter as a whole; changes are lost. Parameters belong into the Shard resource.',
    ...lines(sizes(context)),
    '# Of the Shard resource.',
    ...lines(settings.parameters),
    '# Not to be changed.',
    ...lines(fixed(context)),
    ...lines(wished(settings, context)),
    '',
  ].join('\n');
}

/** What the Shard resource may change. */
function sizes({ walVolumeBytes }: SettingsContext): Record<string, string> {
  const part = (ratio: number, least: number, most: number) =>
    `${Math.min(most, Math.max(least, Math.floor((walVolumeBytes * ratio) / MIB)))}MB`;
  return {
    max_connections: '200',
    shared_buffers: '128MB',
    // Rewinding and a new upstream need old WAL; a downstream that is gone must not fill the disk with it.
    wal_keep_size: part(0.2, 1024, 16 * 1024),
    max_slot_wal_keep_size: part(0.4, 2048, Number.POSITIVE_INFINITY),
    // What crash recovery reads is bounded by these two.
    max_wal_size: '2GB',
    checkpoint_timeout: '5min',
    wal_compression: 'on',
    // The volume is the server's alone; opening each file instead takes seconds after a crash.
    recovery_init_sync_method: 'syncfs',
    max_wal_senders: '20',
    max_replication_slots: '20',
    idle_in_transaction_session_timeout: '60s',
    client_connection_check_interval: '1s',
    timezone: 'UTC',
  };
}

function fixed(context: SettingsContext): Record<string, string> {
  return {
    listen_addresses: context.listen,
    port: String(context.port),
    unix_socket_directories: context.socketDir,
    unix_socket_permissions: '0700',
    ssl: context.tls === undefined ? 'off' : 'on',
    ...(context.tls === undefined ? {} : { ssl_cert_file: context.tls.certFile, ssl_key_file: context.tls.keyFile }),
    // The sitter looks, commands and sets up however many clients there are.
    superuser_reserved_connections: '10',
    password_encryption: 'scram-sha-256',
    synchronous_commit: 'on',
    fsync: 'on',
    full_page_writes: 'on',
    wal_log_hints: 'on',
    wal_level: 'logical',
    track_commit_timestamp: 'on',
    hot_standby: 'on',
    hot_standby_feedback: 'off',
    recovery_target_timeline: 'latest',
    recovery_prefetch: 'try',
    wal_receiver_status_interval: '1s',
    wal_receiver_timeout: '10s',
    wal_sender_timeout: '10s',
    wal_retrieve_retry_interval: '200ms',
    // A server that came back by itself would show commits that no standby has, without a gate.
    restart_after_crash: 'off',
    ...(context.major >= 17 ? { allow_alter_system: 'off' } : {}),
    logging_collector: 'off',
    log_destination: 'stderr',
    log_line_prefix: '%m [%p] %a ',
    log_timezone: 'UTC',
    lc_messages: 'C',
  };
}

function wished(settings: Settings, context: SettingsContext): Record<string, string> {
  // A query on a standby must never delay a takeover; the one that serves dumps is not the next to take over.
  const delay = settings.dumps && settings.role === 'standby' ? '1h' : '0';
  return {
    synchronous_standby_names: formatSsn(settings.ssn),
    default_transaction_read_only: settings.readOnly ? 'on' : 'off',
    max_standby_streaming_delay: delay,
    max_standby_archive_delay: delay,
    primary_conninfo: settings.upstream === undefined ? '' : receiverConninfo(settings.upstream, context),
    // The upstream keeps WAL by slots of its own accord (slots.ts): a receiver is never refused for want of one.
    primary_slot_name: '',
    restore_command: '',
  };
}

function lines(parameters: Readonly<Record<string, string>>): string[] {
  return Object.entries(parameters).map(([name, value]) => {
    if (!NAME.test(name) || /^include(_|$)/i.test(name))
      throw new MantaError('SettingInvalid', `not a parameter of PostgreSQL: ${JSON.stringify(name)}`);
    return `${name} = ${quoteSetting(value)}`;
  });
}

/** A string of postgresql.conf, where a backslash is an escape and a line ends at its end. */
export function quoteSetting(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\n', '\\n')}'`;
}
