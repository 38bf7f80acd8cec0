import { defineCommand, formatOf, listOptions } from '../command.ts';
import { readRegion, readShards, readStorageNodes } from '../region-objects.ts';
import { listing, type Table } from '../table.ts';
import { type Concern, regionConcerns, shardConcerns, storageConcerns } from './concerns.ts';

/** Columns of `alarms`: operations.md §6. */
const alarmTable: Table<Concern> = {
  columns: [
    { name: 'severity', value: row => row.severity },
    { name: 'since', value: row => row.since },
    { name: 'alert', value: row => row.alert },
    { name: 'affects', value: row => row.affects },
    { name: 'summary', value: row => row.summary },
  ],
  shown: ['severity', 'since', 'alert', 'affects', 'summary'],
};

/** `alarms`: conditions that are not as they should be. */
export const alarms = defineCommand({
  words: ['alarms'],
  operands: [],
  options: listOptions,
  help: 'conditions that are not as they should be, errors first',
  role: 'manta-viewer',
  async run(context, _, values) {
    const [region, shards, nodes] = await Promise.all([
      readRegion(context),
      readShards(context),
      readStorageNodes(context),
    ]);
    const rows = inOrder([
      ...regionConcerns(region),
      ...shards.flatMap(shardConcerns),
      ...nodes.flatMap(storageConcerns),
    ]);
    const format = formatOf(values);
    const text = rows.length === 0 && !format.json ? '' : listing(alarmTable, rows, format);
    if (rows.length === 0) context.tell('no alarms');
    return { text, isWrong: rows.length > 0 };
  },
});

/** Errors before warnings, otherwise as they come. Pure. */
export function inOrder(concerns: readonly Concern[]): readonly Concern[] {
  const rank = ({ severity }: Concern) => (severity === 'error' ? 0 : 1);
  return [...concerns].sort((a, b) => rank(a) - rank(b));
}
