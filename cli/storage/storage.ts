import { MantaError } from '../../lib/errors/manta-error.ts';
import { type StorageNode, storageNodes } from '../../lib/resources/types.ts';
import { type CommandContext, defineCommand, formatOf, listOptions } from '../command.ts';
import { readRegion, readStorageNodes } from '../region-objects.ts';
import { listing } from '../table.ts';
import { storageRows, storageTable } from './storage-rows.ts';

/** `storage list`. */
export const storageList = defineCommand({
  words: ['storage', 'list'],
  operands: [],
  options: listOptions,
  help: 'storage nodes, how full they are and whether they take objects',
  role: 'manta-viewer',
  async run(context, _, values) {
    const [found] = await Promise.all([readStorageNodes(context), readRegion(context)]);
    return { text: listing(storageTable, storageRows(found), formatOf(values)) };
  },
});

/** `storage readonly`: no new objects on one storage node. */
export const storageReadonly = defineCommand({
  words: ['storage', 'readonly'],
  operands: ['ID'],
  options: { reason: { type: 'string', help: 'TEXT for the next person; needed' } },
  help: 'no new objects there; those it has are served',
  role: 'manta-operate',
  async run(context, [id = ''], { reason = '' }) {
    if (reason.trim() === '') throw new MantaError('Usage', 'storage readonly needs --reason TEXT');
    const name = storageNodeName(id);
    await findStorageNode(context, name);
    await context.confirm(`${name}: takes no new objects until it is enabled; what it has it serves.`);
    await setMode(context, name, { mode: 'ReadOnly', reason });
    return { text: `${name} read-only: ${reason}\n` };
  },
});

/** `storage enable`: reads and writes again. */
export const storageEnable = defineCommand({
  words: ['storage', 'enable'],
  operands: ['ID'],
  options: {},
  help: 'takes new objects again',
  role: 'manta-operate',
  async run(context, [id = '']) {
    const name = storageNodeName(id);
    const { reason } = (await findStorageNode(context, name)).spec;
    await context.confirm(
      `${name}: takes new objects again${reason === undefined ? '' : `; it did not because: ${reason}`}.`,
    );
    await setMode(context, name, { mode: 'ReadWrite', reason: null });
    return { text: `${name} enabled\n` };
  },
});

/** `stor-2` of `2`, `stor-2` or `2.stor.us-east.example.net`. Throws MantaError `Usage`. */
export function storageNodeName(text: string): string {
  const [, digits] = /^(?:stor-)?([1-9]\d{0,5})(?:\.stor\..+)?$/.exec(text) ?? [];
  if (digits === undefined) throw new MantaError('Usage', `"${text}" is no storage node: kubectl manta storage list`);
  return `stor-${digits}`;
}

async function findStorageNode({ kubernetes, namespace, signal }: CommandContext, name: string) {
  const found = await kubernetes.get(storageNodes, { namespace, name }, { signal });
  if (found !== undefined) return found;
  throw new MantaError(
    'StorageNodeMissing',
    `there is no ${name} in namespace ${namespace}: kubectl manta storage list`,
  );
}

async function setMode(
  { kubernetes, namespace, signal }: CommandContext,
  name: string,
  spec: { readonly mode: StorageNode['spec']['mode']; readonly reason: string | null },
): Promise<void> {
  await kubernetes.patch(storageNodes, { namespace, name }, { type: 'merge', body: { spec } }, { signal });
}
