import pg from 'pg';
import { queryOnce } from '../database/testing.ts';
import { eventually } from '../eventually/eventually.ts';
import { deleteMutation, type Mutation, putMutation } from './mutation.ts';
import { newRev, vnodeOf } from './path.ts';
import {
  anAccount,
  createTestNamespace,
  inconsistencies,
  onEveryShard,
  type TestAccount,
  type TestNamespace,
} from './testing.ts';
import type { Place, Rev } from './types.ts';

const any = { kind: 'any' } as const;
let region: TestNamespace;

beforeAll(async () => {
  region = await createTestNamespace();
});
afterAll(() => region.close());

function shardOf(place: Place) {
  return region.databases.superuser.index[vnodeOf(place.dir) < 65_536 ? 0 : 1];
}

/** Sends one mutation as the library does, once more than the library itself. */
async function send(mutation: Pick<Mutation, 'place' | 'json'>, how: 'alone' | 'batch'): Promise<string | undefined> {
  const text = how === 'alone' ? 'SELECT result FROM mutate_one_v1($1)' : 'SELECT result FROM mutate_v1($1)';
  const argument = how === 'alone' ? mutation.json : `[${mutation.json}]`;
  return (await queryOnce<{ result: string }>(shardOf(mutation.place), text, [argument]))[0]?.result;
}

describe('a put whose reply was lost', () => {
  function aPut() {
    const me = anAccount();
    const place = me.at('a');
    return { me, place, put: putMutation(place, me.object(), any, newRev(), Date.now() + 60_000) };
  }

  it.each(['alone', 'batch'] as const)('is recognised when it is repeated (%s)', async how => {
    const { put } = aPut();
    expect(await send(put, 'alone')).toBe('created');
    expect(await send(put, how)).toBe('unchanged');
  });

  it.each(['alone', 'batch'] as const)('is superseded by an overwrite that came between (%s)', async how => {
    const { me, place, put } = aPut();
    await send(put, 'alone');
    const foreign = me.object();
    await region.metadata.putObject(place, foreign, any);
    expect(await send(put, how)).toBe('superseded');
    expect(await region.metadata.get(place)).toMatchObject({ objectId: foreign.objectId });
    expect(await inconsistencies(region.databases)).toEqual([]);
  });

  it.each(['alone', 'batch'] as const)('is superseded by a delete that came between (%s)', async how => {
    const { place, put } = aPut();
    await send(put, 'alone');
    await region.metadata.deleteObject(place, put.rev);
    expect(await send(put, how)).toBe('superseded');
    expect(await region.metadata.get(place)).toBeUndefined();
  });

  it.each([
    [
      'overwrite',
      (me: TestAccount, place: Place) => putMutation(place, me.object(), any, newRev(), Date.now() + 60_000),
    ],
    ['delete', (_me: TestAccount, place: Place, rev: Rev) => deleteMutation(place, rev, any, newRev())],
  ])('is superseded by a foreign %s that it had to wait for', async (_what, foreign) => {
    const { me, place, put } = aPut();
    await send(put, 'alone');
    const client = new pg.Client(shardOf(place)());
    await client.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT mutate_one_v1($1)', [foreign(me, place, put.rev).json]);
      const repeat = send(put, 'alone');
      await eventually(async () => {
        const waiting = await queryOnce(
          shardOf(place),
          "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
        );
        return waiting.length > 0;
      });
      await client.query('COMMIT');
      expect(await repeat).toBe('superseded');
    } finally {
      await client.end();
    }
  });

  it('is refused after its deadline', async () => {
    const me = anAccount();
    await region.metadata.putObject(me.at('root'), me.object(), any);
    const late = putMutation(me.at('a'), me.object(), any, newRev(), Date.now() - 1);
    expect(await send(late, 'alone')).toBe('expired');
    expect(await send(late, 'batch')).toBe('expired');
  });
});

describe('an unguarded delete whose reply was lost', () => {
  it('does not delete what was written since, when it is repeated', async () => {
    const me = anAccount();
    const place = me.at('a');
    await region.metadata.putObject(place, me.object(), any);
    const seen = await region.metadata.get(place);
    const deletion = deleteMutation(place, seen?.rev ?? newRev(), any, newRev());
    expect(await send(deletion, 'alone')).toBe('deleted');
    const later = me.object();
    await region.metadata.putObject(place, later, any);
    expect(await send({ place, json: deletion.repeatJson }, 'alone')).toBe('precondition');
    expect(await region.metadata.get(place)).toMatchObject({ objectId: later.objectId });
  });
});

describe('connections that are lost', () => {
  it('cost no acknowledged write and no caller an error', async () => {
    const me = anAccount();
    const kinds = new Set<string>();
    let done = 0;
    await Promise.all(
      Array.from({ length: 16 }, async (_, n) => {
        for (let i = 0; i < 15; i += 1) {
          kinds.add(await putStubbornly(me.at(`x${n}-${i}`), me));
          done += 1;
          if (done % 20 === 0) await killConnections();
        }
      }),
    );
    for (const kind of kinds) expect(['created', 'unchanged']).toContain(kind);
    const page = await region.metadata.list(me.at('x').dir, { sort: 'name', reverse: false, limit: 1000 });
    expect(page.entries).toHaveLength(16 * 15);
    expect(page.total).toBe(16 * 15);
    expect(await inconsistencies(region.databases)).toEqual([]);
  });

  async function killConnections(): Promise<void> {
    await onEveryShard(
      region.databases,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE usename = 'manta_webapi' AND datname = current_database()`,
    );
  }

  /** A connection that cannot be opened is an honest 503; the caller tries again. */
  async function putStubbornly(place: Place, me: ReturnType<typeof anAccount>): Promise<string> {
    for (;;) {
      try {
        return (await region.metadata.putObject(place, me.object(), { kind: 'absent' })).kind;
      } catch (error) {
        if ((error as { kind?: string }).kind !== 'unavailable') throw error;
      }
    }
  }
});
