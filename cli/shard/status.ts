import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Shard } from '../../lib/resources/types.ts';
import { defineCommand, formatOf, listOptions } from '../command.ts';
import { type Concern, shardConcerns } from '../health/concerns.ts';
import { readRegion, readShards } from '../region-objects.ts';
import { type Format, jsonRows, listing, oneLine } from '../table.ts';
import { findShard } from './find-shard.ts';
import { peerRows, peerTable } from './peer-rows.ts';

/** `shard status`: the peers of one shard or of all, then what is wrong with it. */
export const shardStatusCommand = defineCommand({
  words: ['shard', 'status'],
  operands: ['[N]'],
  options: listOptions,
  help: 'peers and roles as the operator has seen them last, then errors and warnings',
  role: 'manta-viewer',
  async run(context, [number], values) {
    const found = number === undefined ? await all() : [await findShard(context, number)];
    const format = formatOf(values);
    const isWrong = found.some(shard => shardConcerns(shard).length > 0);
    return {
      text: format.json ? jsonOf(found, format) : found.map(shard => textOf(shard, format)).join('\n'),
      isWrong,
    };

    async function all() {
      const [found] = await Promise.all([readShards(context), readRegion(context)]);
      return found;
    }
  },
});

/** A concern as a line below a table. */
export function concernLine({ severity, alert, summary }: Concern): string {
  return `${severity}: ${alert}: ${oneLine(summary)}\n`;
}

function textOf(shard: Stored<Shard>, format: Format): string {
  const concerns = shardConcerns(shard).map(concernLine).join('');
  const table = listing(peerTable, peerRows(shard), format);
  const heading = format.header && format.columns === undefined ? `${headingOf(shard)}\n` : '';
  return `${heading}${table}${concerns === '' ? '' : `\n${concerns}`}`;
}

function headingOf({ metadata: { name }, spec, status }: Stored<Shard>): string {
  const facts = [
    spec.databases.join(', '),
    ...(status?.generation === undefined ? [] : [`generation ${status.generation}`]),
    ...(status?.vnodes === undefined || status.vnodes === 0 ? [] : [`${status.vnodes} vnodes`]),
  ];
  return `${name}: ${facts.join('; ')}`;
}

function jsonOf(found: readonly Stored<Shard>[], format: Format): string {
  const documents = found.map(shard => ({
    shard: shard.metadata.name,
    generation: shard.status?.generation ?? null,
    peers: jsonRows(peerTable, peerRows(shard), format),
    concerns: shardConcerns(shard),
  }));
  return `${JSON.stringify(documents, undefined, 2)}\n`;
}
