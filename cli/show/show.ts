import { MantaError } from '../../lib/errors/manta-error.ts';
import { defineCommand, formatOf, listOptions } from '../command.ts';
import { compareNames, nodesForbidden, readNodes, readPods, readRegion } from '../region-objects.ts';
import { type Format, listing } from '../table.ts';
import { countPods, countTable } from './pod-counts.ts';
import { type PodRow, podRows, podTable } from './pod-rows.ts';

/** `show`: the pods of the region. */
export const show = defineCommand({
  words: ['show'],
  operands: ['[PROGRAM]'],
  options: {
    ...listOptions,
    'by-node': { type: 'boolean', short: 'c', help: 'grouped by node' },
    summary: { type: 'boolean', short: 's', help: 'counted by version' },
    zone: { type: 'string', help: 'ZONE: only what runs there' },
  },
  help: 'pods by program, shard and name',
  role: 'manta-viewer',
  async run(context, [program], values) {
    if (values.summary && values['by-node']) throw new MantaError('Usage', 'show takes -s or -c, not both');
    const [region, pods, nodes] = await Promise.all([readRegion(context), readPods(context), readNodes(context)]);
    if (values.zone !== undefined && nodes === undefined) throw nodesForbidden(context.namespace);
    const all = podRows({ pods, nodes, region: region.spec, nowMs: context.clock.now() });
    const rows = all.filter(row => values.zone === undefined || row.zone === values.zone);
    const wanted = program === undefined ? rows : rows.filter(row => row.program === program);
    if (wanted.length === 0) throw nothingFound(all, program, values.zone);
    const format = formatOf(values);
    if (values.summary) return { text: listing(countTable, countPods(wanted), format) };
    return { text: values['by-node'] && !format.json ? byNode(wanted, format) : listing(podTable, wanted, format) };
  },
});

/** A block for each node, its heading a line of its own. */
function byNode(rows: readonly PodRow[], format: Format): string {
  const groups = [...Map.groupBy(rows, ({ node }) => node ?? '')].sort(([a], [b]) => compareNames(a, b));
  const columns = format.columns ?? ['program', 'shard', 'pod', 'version', 'ready'];
  return groups
    .map(([node, group]) => {
      const [first] = group;
      const place = [first?.zone, first?.nodeIp].filter(part => part !== undefined).join(', ');
      const heading = node === '' ? 'without a node' : place === '' ? node : `${node} (${place})`;
      return `${heading}\n${listing(podTable, group, { ...format, columns })
        .replaceAll(/^/gm, '  ')
        .trimEnd()}\n`;
    })
    .join('\n');
}

function nothingFound(all: readonly PodRow[], program: string | undefined, zone: string | undefined): MantaError {
  const programs = [...new Set(all.map(row => row.program))].join(', ');
  const what = program === undefined ? 'pods' : `pods of program "${program}"`;
  const where = zone === undefined ? '' : ` in zone "${zone}"`;
  return new MantaError('NothingFound', `there are no ${what}${where}; programs that have some: ${programs || 'none'}`);
}
