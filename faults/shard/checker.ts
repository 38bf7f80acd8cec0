import type { ClusterState } from '../../lib/shard/state.ts';
import { brokenTransition } from '../../lib/shard/transition.ts';
import type { Journal, WriteOperation } from './operation.ts';

/** One server's copy of the table. */
export interface PeerTable {
  readonly name: string;
  /** A statement on that server's database, standby or not; values come as text. */
  query(text: string): Promise<readonly (readonly string[])[]>;
}

export interface CheckInput {
  readonly journal: Journal;
  readonly writers: number;
  readonly table: string;
  /** The primary first; all of them caught up. */
  readonly peers: readonly PeerTable[];
  /** Cluster states from the oldest to the newest; nothing for systems that have none. */
  readonly history?: readonly ClusterState[];
  /** Milliseconds by which a read may lag behind what was acknowledged before it began: `fenceMs`. */
  readonly staleMs?: number;
}

/** What was found. It passed when `violations` is empty. */
export interface Verdict {
  /** One line. */
  readonly line: string;
  readonly acknowledged: number;
  readonly unknown: number;
  readonly failed: number;
  /** Acknowledged writes that the primary does not hold. */
  readonly lost: number;
  /** One sentence each. */
  readonly violations: readonly string[];
}

/** Rows whose presence on all peers is compared by one hash. */
const RANGE = 5_000;

/** The checks of replication.md §16.5, 1 to 3, on a system that has healed. Throws when a peer cannot be read. */
export async function check(input: CheckInput): Promise<Verdict> {
  const { journal, peers } = input;
  const primary = peers[0];
  if (primary === undefined) throw new Error('there is no peer to check');
  const rows = await readTable(primary, input.table);
  const { violations: missing, lost } = compareTable(journal.writes, rows, primary.name);
  const violations = [
    ...missing,
    ...(await compareContents(primary, peers.slice(1), input.table)),
    ...compareReads(journal, rows, input),
    ...lateAcknowledgements(journal.writes),
    ...(input.history === undefined ? [] : brokenHistory(input.history)),
  ];
  const counts = {
    acknowledged: journal.count('ok'),
    unknown: journal.count('unknown'),
    failed: journal.count('fail'),
    lost,
  };
  const line =
    `${violations.length === 0 ? 'ok' : `VIOLATED (${violations.length})`}: ${counts.acknowledged} acknowledged, ` +
    `${lost} lost, ${counts.unknown} unknown, ${counts.failed} failed, ${journal.reads.length} reads, ` +
    `${peers.length} peers compared` +
    (input.history === undefined ? '' : `, ${generations(input.history)} new generations`);
  return { line, ...counts, violations };
}

/** How often each (client, id) is in the table. */
type Rows = ReadonlyMap<string, number>;

const keyOf = (client: number | string, id: number | string) => `${client}/${id}`;

async function readTable(peer: PeerTable, table: string): Promise<Rows> {
  const counted = await peer.query(`SELECT client, id, count(*) FROM ${table} GROUP BY client, id`);
  return new Map(counted.map(([client = '', id = '', count]) => [keyOf(client, id), Number(count)]));
}

/** ok ⊆ table ⊆ (ok ∪ unknown), failed ∩ table = ∅, no duplicates. */
function compareTable(writes: readonly WriteOperation[], rows: Rows, name: string) {
  const violations: string[] = [];
  const outcomes = new Map(writes.map(write => [keyOf(write.client, write.id), write]));
  let lost = 0;
  for (const [key, { outcome, complete, timeline }] of outcomes) {
    if (outcome === 'ok' && !rows.has(key)) {
      lost += 1;
      violations.push(
        `LOST: ${key}, acknowledged at ${complete.toFixed(1)} on timeline ${timeline}, is not on ${name}`,
      );
    }
    if (outcome === 'fail' && rows.has(key)) violations.push(`${key} was reported as failed and is on ${name}`);
  }
  for (const [key, count] of rows) {
    if (!outcomes.has(key)) violations.push(`${key} is on ${name} and nobody wrote it`);
    if (count > 1) violations.push(`${key} is on ${name} ${count} times`);
  }
  return { violations, lost };
}

async function compareContents(primary: PeerTable, others: readonly PeerTable[], table: string): Promise<string[]> {
  const hashes = `SELECT client, id / ${RANGE} AS range, count(*),
    md5(string_agg(id || ':' || timeline, ',' ORDER BY id, timeline)) FROM ${table} GROUP BY 1, 2 ORDER BY 1, 2`;
  const expected = new Map(toRanges(await primary.query(hashes)));
  const violations: string[] = [];
  for (const peer of others) {
    const found = new Map(toRanges(await peer.query(hashes)));
    for (const range of new Set([...expected.keys(), ...found.keys()])) {
      const [here, there] = [found.get(range), expected.get(range)];
      if (here === there) continue;
      violations.push(
        `writer and range ${range}: ${peer.name} has ${here ?? 'nothing'}, ${primary.name} ${there ?? 'nothing'}`,
      );
    }
  }
  return violations;
}

function toRanges(rows: readonly (readonly string[])[]): [string, string][] {
  return rows.map(([client, range, count, hash]) => [`${client}/${range}`, `${count} rows with hash ${hash}`]);
}

/** Nothing was read that is not there in the end; nothing was missing for longer than allowed. */
function compareReads(journal: Journal, rows: Rows, { writers, staleMs = 3_000 }: CheckInput): string[] {
  const violations: string[] = [];
  const acknowledged = Array.from({ length: writers }, (_, client) =>
    journal.writes.filter(write => write.client === client && write.outcome === 'ok'),
  );
  for (const { seen, invoke } of journal.reads) {
    for (const [client, id] of seen.entries()) {
      if (id > 0 && !rows.has(keyOf(client, id))) violations.push(`DIRTY: ${keyOf(client, id)} was read and is gone`);
      const missed = firstBeyond(acknowledged[client] ?? [], id);
      const staleFor = missed === undefined ? 0 : invoke - missed.complete;
      if (staleFor > staleMs) {
        violations.push(
          `STALE: a read missed ${keyOf(client, missed?.id ?? 0)}, acknowledged ${staleFor.toFixed(0)} ms before`,
        );
      }
    }
  }
  return violations;
}

/** One writer's ids ascend. */
function firstBeyond(writes: readonly WriteOperation[], id: number): WriteOperation | undefined {
  let low = 0;
  let high = writes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((writes[middle]?.id ?? 0) <= id) low = middle + 1;
    else high = middle;
  }
  return writes[low];
}

/** A write that began after a newer timeline had acknowledged one cannot be acknowledged by an older timeline (G2). */
function lateAcknowledgements(writes: readonly WriteOperation[]): string[] {
  const violations: string[] = [];
  let newest = 0;
  const since = new Map<number, number>();
  for (const { outcome, timeline = 0, invoke, complete, client, id } of writes) {
    if (outcome !== 'ok' || timeline === 0) continue;
    if (timeline > newest) {
      newest = timeline;
      since.set(timeline, complete);
    } else if (timeline < newest && invoke > (since.get(newest) ?? Number.POSITIVE_INFINITY)) {
      violations.push(`${keyOf(client, id)} was acknowledged on timeline ${timeline} after ${newest} had begun to`);
    }
  }
  return violations;
}

/** Every step against §5.1; steps that were pruned between the first and the last show as gaps of seq. */
export function brokenHistory(history: readonly ClusterState[]): string[] {
  return history.flatMap((state, index) => {
    const broken = brokenTransition(index === 0 ? undefined : history[index - 1], state);
    return broken === undefined ? [] : [`HISTORY: state ${state.seq} (${state.cause}): ${broken}`];
  });
}

function generations(history: readonly ClusterState[]): number {
  const first = history[0];
  const last = history.at(-1);
  return first === undefined || last === undefined ? 0 : last.generation - first.generation;
}
