import { MantaError } from '../../lib/errors/manta-error.ts';
import { defineCommand, formatOf, listOptions } from '../command.ts';
import { nodesForbidden, readNodes, readPods, readRegion, readStorageNodes } from '../region-objects.ts';
import { listing } from '../table.ts';
import { filterNodes, nodeRows, nodeTable } from './node-rows.ts';

/** `cn`: the nodes of the cluster and what of the region is on them. */
export const cn = defineCommand({
  words: ['cn'],
  operands: ['[FILTER]'],
  options: {
    ...listOptions,
    'storage-only': { type: 'boolean', short: 's', help: 'only those that hold storage nodes' },
    names: { type: 'boolean', short: 'n', help: 'names alone, with commas' },
  },
  help: 'nodes; FILTER is a part of a host, uuid, address or storage id',
  role: 'manta-viewer',
  async run(context, [filter], values) {
    const [region, pods, nodes, storageNodes] = await Promise.all([
      readRegion(context),
      readPods(context),
      readNodes(context),
      readStorageNodes(context),
    ]);
    if (nodes === undefined) throw nodesForbidden(context.namespace);
    const rows = nodeRows({ nodes, pods, storageNodes, region: region.spec }).filter(
      ({ storageIds }) => !values['storage-only'] || storageIds.length > 0,
    );
    const wanted = filter === undefined ? rows : filterNodes(rows, filter);
    if (wanted.length === 0 && filter !== undefined)
      throw new MantaError('NothingFound', `no node has "${filter}" in its name, uuid, address or storage ids`);
    if (values.names) return { text: `${wanted.map(({ host }) => host).join(',')}\n` };
    return { text: listing(nodeTable, wanted, formatOf(values)) };
  },
});
