import type { Resource } from '../kubernetes/resource.ts';
import { aRegion, aShard, aStorageNode } from './testing.ts';
import { type ResourceServer, startResourceServer } from './testing-server.ts';
import { type MantaRegion, mantaRegions, type Shard, type StorageNode, shards, storageNodes } from './types.ts';

let resources: ResourceServer;

beforeAll(async () => {
  resources = await startResourceServer();
}, 1_800_000);

afterAll(() => resources?.stop());

interface Table {
  readonly columnDefinitions: readonly { readonly name: string; readonly priority: number }[];
  readonly rows: readonly { readonly cells: readonly unknown[] }[];
}

/** What `kubectl get` prints of the only object of its kind: the columns and the row, but for the age. */
async function printed<T extends MantaRegion | Shard | StorageNode>(
  resource: Resource<T>,
  object: T,
  { isWide = false }: { readonly isWide?: boolean } = {},
): Promise<{ readonly columns: readonly string[]; readonly cells: readonly unknown[] }> {
  const { admin } = resources;
  const found = await admin.get(resource, { namespace: 'manta', name: object.metadata.name ?? '' });
  const stored = found ?? (await admin.create(resource, object));
  await admin.replace(resource, { ...stored, status: object.status }, { subresource: 'status' });
  const table = (await admin.json({
    method: 'GET',
    path: `/apis/manta.io/v1alpha1/namespaces/manta/${resource.plural}`,
    headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
  })) as Table;
  const shown = table.columnDefinitions.map(({ name, priority }, index) => ({ name, priority, index }));
  const chosen = shown.filter(({ name, priority }) => (isWide || priority === 0) && name !== 'Age');
  return {
    columns: chosen.map(({ name }) => name.toUpperCase()),
    cells: chosen.map(({ index }) => table.rows[0]?.cells[index]),
  };
}

const condition = (type: string, status: 'True' | 'False', reason: string) => ({
  ...{ type, status, reason, message: '' },
  lastTransitionTime: '2031-05-01T10:00:00Z',
});

const region: MantaRegion = {
  ...aRegion(),
  status: {
    version: '1.4.2',
    conditions: [
      condition('Degraded', 'False', 'AsSpecified'),
      condition('Ready', 'True', 'AllReady'),
      condition('ReadsAvailable', 'True', 'CheckPassed'),
      condition('WritesAvailable', 'False', 'CheckFailed'),
    ],
    display: {
      shards: '4/4',
      storage: '12/12',
      used: '41%',
      slots: '-',
      endpoint: '192.0.2.1',
      tlsExpires: '2031-12-01',
    },
    slotMap: { version: 3 },
  },
};

describe('kubectl get', () => {
  it('shows a region in a line', async () => {
    expect(await printed(mantaRegions, region)).toEqual({
      columns: ['NAME', 'PROFILE', 'READY', 'REASON', 'SHARDS', 'STORAGE', 'USED', 'SLOTS', 'VERSION'],
      cells: ['us-east', 'dev', 'True', 'AllReady', '4/4', '12/12', '41%', '-', '1.4.2'],
    });
  });

  it('shows more of it where there is room', async () => {
    const { columns, cells } = await printed(mantaRegions, region, { isWide: true });
    expect(columns.slice(9)).toEqual(['READS', 'WRITES', 'JOBS', 'MAP', 'ENDPOINT', 'TLS-EXPIRES']);
    expect(cells.slice(9)).toEqual(['True', 'False', null, 3, '192.0.2.1', '2031-12-01']);
  });

  it('shows a shard in a line', async () => {
    const status: Shard['status'] = {
      ...{ generation: 7, primary: 'pg-2-0', sync: 'pg-2-2' },
      conditions: [condition('Ready', 'True', 'ReadWrite')],
      display: { databases: 'index', async: '1', lag: '0', vnodes: '43691', disk: '23%' },
    };
    expect(await printed(shards, { ...aShard(), status })).toEqual({
      columns: ['NAME', 'DATABASES', 'READY', 'REASON', 'GEN', 'PRIMARY', 'SYNC', 'ASYNC', 'LAG', 'VNODES', 'DISK'],
      cells: ['shard-2', 'index', 'True', 'ReadWrite', 7, 'pg-2-0', 'pg-2-2', '1', '0', '43691', '23%'],
    });
  });

  it('shows a storage node in a line', async () => {
    const status: StorageNode['status'] = {
      nodeName: 'node-s01',
      conditions: [condition('Ready', 'True', 'Serving')],
      display: { used: '44%', slots: '-' },
    };
    expect(await printed(storageNodes, { ...aStorageNode(), status })).toEqual({
      columns: ['NAME', 'ZONE', 'NODE', 'READY', 'REASON', 'MODE', 'USED', 'SLOTS(R/B/T)'],
      cells: ['stor-2', 'local', 'node-s01', 'True', 'Serving', 'ReadWrite', '44%', '-'],
    });
  });

  it('finds all of them by their short names and as the category manta', async () => {
    const { resources: found } = (await resources.admin.json({
      method: 'GET',
      path: '/apis/manta.io/v1alpha1',
    })) as { resources: { name: string; shortNames?: string[]; categories?: string[] }[] };
    const names = found.filter(({ name }) => !name.includes('/'));
    expect(names.map(({ name, shortNames, categories }) => [name, shortNames, categories])).toEqual([
      ['mantaregions', ['mr'], ['manta']],
      ['shards', ['mshard'], ['manta']],
      ['storagenodes', ['msn'], ['manta']],
    ]);
  });
});
