import { defineCommand, formatOf, listOptions } from '../command.ts';
import { listing } from '../table.ts';
import { findShard } from './find-shard.ts';
import { historyRows, historyTable } from './history-rows.ts';

/** `shard history`: the newest changes of roles. */
export const shardHistory = defineCommand({
  words: ['shard', 'history'],
  operands: ['N'],
  options: listOptions,
  help: 'the newest 20 changes of its state; a step that the protocol forbids is marked',
  role: 'manta-viewer',
  async run(context, [number = ''], values) {
    const rows = historyRows((await findShard(context, number)).status?.history ?? []);
    const isWrong = rows.some(row => row.forbidden !== undefined);
    const shown = isWrong ? historyTable.shown : historyTable.shown.filter(name => name !== 'forbidden');
    return { text: listing({ ...historyTable, shown }, rows, formatOf(values)), isWrong };
  },
});
