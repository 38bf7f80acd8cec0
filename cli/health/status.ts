import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Pod } from '../../lib/kubernetes/resources.ts';
import { partLabels } from '../../lib/resources/names.ts';
import { defineCommand, formatOf, listOptions } from '../command.ts';
import { readPods, readRegion, readShards, readStorageNodes } from '../region-objects.ts';
import { jsonRows, listing, oneLine } from '../table.ts';
import { inOrder } from './alarms.ts';
import { type Concern, regionConcerns, shardConcerns, storageConcerns } from './concerns.ts';
import { promiseRows, promiseTable } from './promises.ts';

/** `status`: promise by promise, what is wrong, and the next command. */
export const status = defineCommand({
  words: ['status'],
  operands: [],
  options: listOptions,
  help: 'promise by promise, what is wrong and the next command',
  role: 'manta-viewer',
  async run(context, _, values) {
    const [region, shards, storageNodes, pods] = await Promise.all([
      readRegion(context),
      readShards(context),
      readStorageNodes(context),
      readPods(context),
    ]);
    const rows = promiseRows({ region, shards, storageNodes, pods });
    const concerns = inOrder([
      ...operatorConcerns(pods),
      ...regionConcerns(region),
      ...shards.flatMap(shardConcerns),
      ...storageNodes.flatMap(storageConcerns),
    ]);
    const isWrong = rows.some(({ state }) => state === 'broken');
    const format = formatOf(values);
    if (format.json) {
      const document = { promises: jsonRows(promiseTable, rows, format), concerns };
      return { text: `${JSON.stringify(document, undefined, 2)}\n`, isWrong };
    }
    const lines = concerns.map(
      ({ severity, affects, alert, summary }) => `${severity}: ${affects} ${alert}: ${oneLine(summary)}\n`,
    );
    const text = listing(promiseTable, rows, format);
    return { text: lines.length === 0 ? text : `${text}\n${lines.join('')}`, isWrong };
  },
});

/** Without an operator all conditions are as old as its end. Pure. */
export function operatorConcerns(pods: readonly Stored<Pod>[]): readonly Concern[] {
  const isReady = ({ metadata, status: is }: Stored<Pod>) =>
    metadata.labels?.[partLabels.service] === 'operator' &&
    is?.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds === 'True');
  if (pods.some(isReady)) return [];
  return [
    {
      severity: 'error',
      since: undefined,
      alert: 'OperatorDown',
      affects: 'deployment/manta-operator',
      summary: 'no operator is ready, and what conditions say may be old: kubectl describe deployment manta-operator',
    },
  ];
}
