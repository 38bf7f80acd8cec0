import { type Lsn, parseLsn } from '../../../lib/shard/lsn.ts';
import type { Positions, Sender } from '../server.ts';
import type { Session } from './session.ts';

/** One answer of the server about itself. */
export interface Look extends Positions {
  readonly systemId: string;
  /** In recovery: the least the timeline can be. */
  readonly timeline: number;
  readonly segmentBytes: number;
  /** Effective values of the safety set, by name. */
  readonly settings: Readonly<Record<string, string>>;
  readonly senders: readonly LookedSender[];
  readonly receiver: Receiver | undefined;
  /** Who waits for a standby to confirm a commit: one entry a statement. */
  readonly commitsWaiting: readonly string[];
}

export interface LookedSender extends Sender {
  /** Tells two senders with one pid apart. */
  readonly startedAt: string;
}

export interface Receiver {
  readonly pid: number;
  readonly status: string;
  readonly timeline: number;
  /** Changes with every message of the upstream. */
  readonly lastMessage: string | undefined;
}

/** What the safety of replication rests on, read back all the time (replication.md §11.3). */
export const SAFETY_SET = [
  'synchronous_standby_names',
  'default_transaction_read_only',
  'synchronous_commit',
  'restart_after_crash',
  'fsync',
  'full_page_writes',
] as const;

const SENDERS = `
  SELECT json_agg(json_build_object(
    'pid', pid, 'startedAt', backend_start, 'name', application_name, 'state', state, 'priority', sync_priority,
    'sent', sent_lsn, 'flushed', flush_lsn, 'replayed', replay_lsn, 'replyTime', reply_time))
  FROM pg_stat_replication`;

// A server out of recovery never goes back into it, so asking that first makes the others safe to ask.
const POSITIONS = `
  pg_is_in_recovery() AS recovering,
  CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn()::text END AS flushed,
  CASE WHEN NOT pg_is_in_recovery()
    THEN ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END AS writing,
  pg_last_wal_receive_lsn()::text AS received,
  pg_last_wal_replay_lsn()::text AS replayed,
  (SELECT timeline_id FROM pg_control_checkpoint()) AS checkpointed,
  (SELECT min_recovery_end_timeline FROM pg_control_recovery()) AS recovered,
  (SELECT bytes_per_wal_segment FROM pg_control_init()) AS segment,
  (SELECT received_tli FROM pg_stat_wal_receiver) AS receiving`;

// The senders first: what a downstream has is never ahead of what this server is then found to have.
const LOOK = `
  SELECT (${SENDERS}) AS senders, ${POSITIONS},
    (SELECT system_identifier::text FROM pg_control_system()) AS system,
    json_build_object(${SAFETY_SET.map(name => `'${name}', current_setting('${name}')`).join(', ')}) AS settings,
    (SELECT json_build_object('pid', pid, 'status', status, 'timeline', received_tli, 'lastMessage', last_msg_receipt_time)
      FROM pg_stat_wal_receiver) AS receiver,
    (SELECT json_agg(pid || ' ' || query_start) FROM pg_stat_activity WHERE wait_event = 'SyncRep') AS waiting`;

interface PositionsRow {
  recovering: boolean;
  flushed: string | null;
  writing: number | null;
  received: string | null;
  replayed: string | null;
  checkpointed: number;
  recovered: number;
  segment: number;
  receiving: number | null;
}

interface LookRow extends PositionsRow {
  system: string;
  settings: Record<string, string>;
  senders: SenderRow[] | null;
  receiver: { pid: number; status: string; timeline: number | null; lastMessage: string | null } | null;
  waiting: string[] | null;
}

interface SenderRow {
  pid: number;
  startedAt: string;
  name: string;
  state: string;
  priority: number;
  sent: string | null;
  flushed: string | null;
  replayed: string | null;
  replyTime: string | null;
}

/** Everything `observe` shows, in one query. In recovery the timeline is only a lower bound (standby-timeline.ts). */
export async function look(session: Session): Promise<Look> {
  const [row] = await session.query<LookRow>(LOOK, [], 'look');
  if (row === undefined) throw new Error('a query without FROM has one row');
  return {
    ...positionsOf(row),
    systemId: row.system,
    segmentBytes: row.segment,
    settings: row.settings,
    senders: (row.senders ?? []).map(senderOf),
    receiver:
      row.receiver === null
        ? undefined
        : {
            ...row.receiver,
            timeline: row.receiver.timeline ?? 0,
            lastMessage: row.receiver.lastMessage ?? undefined,
          },
    commitsWaiting: row.waiting ?? [],
  };
}

/** The positions alone. In recovery the timeline is only a lower bound. */
export async function readPositions(session: Session): Promise<Positions & { readonly segmentBytes: number }> {
  const [row] = await session.query<PositionsRow>(`SELECT ${POSITIONS}`);
  if (row === undefined) throw new Error('a query without FROM has one row');
  return { ...positionsOf(row), segmentBytes: row.segment };
}

/** The rows of pg_stat_replication. */
export async function readSenders(session: Session): Promise<readonly LookedSender[]> {
  const [row] = await session.query<{ senders: SenderRow[] | null }>(`SELECT (${SENDERS}) AS senders`);
  return (row?.senders ?? []).map(senderOf);
}

function positionsOf(row: PositionsRow): Positions {
  return {
    inRecovery: row.recovering,
    timeline: row.writing ?? Math.max(row.checkpointed, row.recovered, row.receiving ?? 0),
    flushed: position(row.flushed),
    received: row.recovering ? position(row.received) : undefined,
    replayed: row.recovering ? position(row.replayed) : undefined,
  };
}

function senderOf(row: SenderRow): LookedSender {
  return {
    pid: row.pid,
    startedAt: row.startedAt,
    name: row.name,
    state: row.state,
    priority: row.priority,
    sent: position(row.sent),
    flushed: position(row.flushed),
    replayed: position(row.replayed),
    replyTime: row.replyTime ?? undefined,
  };
}

function position(text: string | null): Lsn | undefined {
  return text === null ? undefined : parseLsn(text);
}
