import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLayout } from '../postgres/local/layout.ts';
import { assertSameDatabases, serverDirOf, shardDirOf } from './database-kind.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'manta-kind-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function makeShard(peers: number): Promise<void> {
  const wish = { shard: 1, peers, etcdMembers: 1, databases: ['control'], walVolumes: false, subnet: undefined };
  await createLayout(shardDirOf(dir), wish);
}

describe('a region that is started again', () => {
  it('may have any kind of database when it has none yet', () => {
    expect(() => assertSameDatabases(dir, undefined)).not.toThrow();
    expect(() => assertSameDatabases(dir, 3)).not.toThrow();
  });

  it('goes on with the kind it has', async () => {
    await makeShard(3);
    expect(() => assertSameDatabases(dir, 3)).not.toThrow();
  });

  it('is not started on an empty shard when its databases are on one server', () => {
    mkdirSync(join(serverDirOf(dir), 'data'), { recursive: true });
    expect(() => assertSameDatabases(dir, undefined)).not.toThrow();
    expect(() => assertSameDatabases(dir, 3)).toThrow(/one PostgreSQL server: start it without --shard-peers/);
  });

  it.each([undefined, 1, 5])('is not started with %s when its shard has three peers', async peers => {
    await makeShard(3);
    expect(() => assertSameDatabases(dir, peers)).toThrow(/on a shard of 3: start it with --shard-peers 3, or/);
  });
});
