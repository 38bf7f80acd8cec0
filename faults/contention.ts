import type { Region } from './region.ts';
import type { Report } from './report.ts';

const MKDIR = { 'content-type': 'application/json; type=directory' };

/** Many clients after one name: mkdirs all succeed, overwrites leave exact garbage, a create-only PUT has one winner. */
export async function contention(region: Region): Promise<Report> {
  const { client } = region;
  const problems: string[] = [];
  const root = `/${client.login}/stor`;
  const all = (count: number, send: (index: number) => ReturnType<typeof client.request>) =>
    Promise.all(Array.from({ length: count }, (_, index) => send(index)));
  const tally = (answers: readonly { status: number }[]) => {
    const counts = new Map<number, number>();
    for (const { status } of answers) counts.set(status, (counts.get(status) ?? 0) + 1);
    return [...counts].map(([status, count]) => `${count}×${status}`).join(' ');
  };

  const mkdirs = await all(20, () => client.request('PUT', `${root}/many`, { headers: MKDIR, body: Buffer.alloc(0) }));
  if (mkdirs.some(({ status }) => status !== 204)) problems.push(`20 parallel mkdirs: ${tally(mkdirs)}`);

  const before = await garbageIds(region);
  const puts = await all(100, index => client.request('PUT', `${root}/hot`, { body: Buffer.from(`version ${index}`) }));
  if (puts.some(({ status }) => status !== 204)) problems.push(`100 parallel overwrites: ${tally(puts)}`);
  const ids = (await garbageIds(region)).filter(id => !before.includes(id));
  if (ids.length !== 99 || new Set(ids).size !== 99) {
    problems.push(`100 overwrites left ${ids.length} garbage rows, ${new Set(ids).size} distinct`);
  }

  const creates = await all(10, index =>
    client.request('PUT', `${root}/only-once`, { headers: { 'if-none-match': '*' }, body: Buffer.from(`${index}`) }),
  );
  const winners = creates.filter(({ status }) => status === 204).length;
  const losers = creates.filter(({ status }) => status === 412 || status === 409).length;
  if (winners !== 1 || losers !== 9) problems.push(`10 create-only PUTs: ${tally(creates)}`);
  return {
    name: 'contention',
    figures: {
      mkdirs: tally(mkdirs),
      overwrites: tally(puts),
      'garbage rows': ids.length,
      'create-only': tally(creates),
    },
    problems,
  };
}

async function garbageIds(region: Region): Promise<string[]> {
  const { index } = await region.open();
  const rows = await Promise.all(
    index.map(shard => shard.query<{ object_id: string }>('SELECT object_id FROM garbage')),
  );
  return rows.flatMap(({ rows }) => rows.map(row => row.object_id));
}
