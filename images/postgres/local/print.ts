import { brokenTransition } from '../../../lib/shard/transition.ts';
import type { HistoryEntry } from './shard-client.ts';
import type { ShardStatus } from './shard-status.ts';

/** The shard in a few lines, its peers as a table, and what is wrong (replication.md §13). */
export function printStatus({ state, peers, problems }: ShardStatus): string {
  const head =
    state === undefined
      ? 'no cluster state'
      : `generation ${state.generation} (${state.cause}), timeline ${state.timeline}, sync must hold ${state.initWal}`;
  const order = ['primary', 'sync', 'async', 'deposed', 'none'];
  const chain = [state?.primary, state?.sync, ...(state?.async ?? [])].map(peer => peer?.id);
  const place = ({ id, role }: ShardStatus['peers'][number]) => order.indexOf(role) * 100 + chain.indexOf(id);
  const rows = [...peers]
    .sort((a, b) => place(a) - place(b))
    .map(peer => [
      peer.id,
      peer.role,
      peer.postgres,
      peer.replication,
      peer.sent,
      peer.flushed,
      peer.replayed,
      peer.lagBytes === undefined ? '-' : String(peer.lagBytes),
      peer.rule === '' ? '-' : peer.rule,
    ]);
  const titles = ['PEER', 'ROLE', 'POSTGRES', 'REPLICATION', 'SENT', 'FLUSHED', 'REPLAYED', 'LAG', 'DOING'];
  const found = problems.length === 0 ? ['No problems: writable, and any one peer may be lost.'] : ['Problems:'];
  return `${[head, '', ...table([titles, ...rows]), '', ...found, ...problems.map(text => `  ${text}`)].join('\n')}\n`;
}

/** All states that are kept, each checked against the one before; `broken`: how many steps were impossible. */
export function printHistory(entries: readonly HistoryEntry[]): { readonly text: string; readonly broken: number } {
  let broken = 0;
  const rows = entries.map(({ state, at }, index) => {
    const fault = brokenTransition(entries[index - 1]?.state, state);
    if (fault !== undefined) broken += 1;
    const names = [state.primary.id, state.sync?.id ?? '-', state.async.map(({ id }) => id).join(',') || '-'];
    const deposed = state.deposed.map(({ id }) => id).join(',') || '-';
    const step = fault === undefined ? state.cause : `${state.cause}  IMPOSSIBLE: ${fault}`;
    return [
      at,
      String(state.seq),
      String(state.generation),
      String(state.timeline),
      ...names,
      deposed,
      state.initWal,
      step,
    ];
  });
  const titles = ['TIME', 'SEQ', 'GEN', 'TLI', 'PRIMARY', 'SYNC', 'ASYNC', 'DEPOSED', 'INIT WAL', 'CAUSE'];
  return { text: `${table([titles, ...rows]).join('\n')}\n`, broken };
}

/** Columns of equal width. */
export function table(lines: readonly (readonly string[])[]): string[] {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map(line => line[column]?.length ?? 0)));
  return lines.map(line =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
