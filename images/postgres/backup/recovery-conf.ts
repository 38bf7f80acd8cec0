import type { ServerAccount } from '../../../lib/postgres-process/account.ts';
import { pgIdent } from '../pg/hba.ts';
import type { SocketAddress } from '../pg/session.ts';
import { quoteSetting } from '../pg/settings.ts';
import { sitterUsers } from '../pg/users.ts';

export interface RecoveryConfig {
  readonly account: ServerAccount;
  readonly address: SocketAddress;
  readonly restoreCommand: string;
  /** Where to replay along. */
  readonly timeline: number;
  /** Up to here; undefined: to the end. */
  readonly until: string | undefined;
  /** As on the server whose WAL it is: with less, a transaction that was prepared would end the recovery. */
  readonly maxPreparedTransactions: string;
}

/**
 * The configuration of a server that replays an archive, by file: nobody gets in but the sitter, and it becomes visible
 * only once it is out of recovery. The sitter replaces all of it before the shard's first start.
 */
export function recoveryConf(config: RecoveryConfig): Readonly<Record<string, string>> {
  const { account, address, restoreCommand, timeline, until } = config;
  const settings: Record<string, string> = {
    listen_addresses: '',
    port: String(address.port),
    unix_socket_directories: address.socketDir,
    unix_socket_permissions: '0700',
    hot_standby: 'off',
    max_prepared_transactions: config.maxPreparedTransactions,
    fsync: 'on',
    full_page_writes: 'on',
    wal_level: 'logical',
    wal_log_hints: 'on',
    track_commit_timestamp: 'on',
    recovery_init_sync_method: 'syncfs',
    restart_after_crash: 'off',
    archive_mode: 'off',
    restore_command: restoreCommand,
    // By number: `latest` looks for histories one by one, and numbers are left out.
    recovery_target_timeline: String(timeline),
    recovery_target_action: 'promote',
    // It knows no names of time zones yet when it reads this.
    ...(until === undefined
      ? {}
      : { recovery_target_time: until.replace(/Z$/i, '+00'), recovery_target_inclusive: 'on' }),
    timezone: 'UTC',
    logging_collector: 'off',
    log_destination: 'stderr',
    lc_messages: 'C',
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quoteSetting(value)}`);
  return {
    'postgresql.conf': ['# Written by the sitter, for the recovery alone.', ...lines, ''].join('\n'),
    'postgresql.auto.conf': '',
    'pg_hba.conf': 'local  all  postgres  peer  map=sitter\n',
    'pg_ident.conf': pgIdent(sitterUsers(account)),
    'recovery.signal': '',
  };
}
