import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { connectFailure } from './failure.ts';
import { assertHome } from './home-check.ts';
import { type DatabaseTarget, isMoving } from './moving-target.ts';

/** Milliseconds for establishing one connection. */
const CONNECT_MS = 2_000;
/** Milliseconds between two attempts. */
const AGAIN_MS = 25;

/**
 * One connection outside any pool, for what a program does once. Where the database moves, its primary is waited for as
 * its target allows; the connection does not follow it afterwards. Throws DatabaseError `unavailable`.
 */
export async function connectOnce(target: DatabaseTarget, settings: pg.ClientConfig = {}): Promise<pg.Client> {
  const since = performance.now();
  for (;;) {
    const home = isMoving(target) ? await target.room.enter(() => target.home()) : undefined;
    const connection = isMoving(target) ? home?.connection() : target();
    const client = new pg.Client({ connectionTimeoutMillis: CONNECT_MS, ...connection, ...settings });
    // A loss between two statements is met by the next one.
    client.on('error', () => {});
    try {
      await client.connect();
      if (home !== undefined) await assertHome(client, home, CONNECT_MS);
      return client;
    } catch (error) {
      await client.end().catch(() => {});
      const failure = connectFailure(error);
      const isOver = !isMoving(target) || performance.now() - since >= target.patienceMs;
      if (isOver || !failure.isRefusal) throw failure;
    }
    await sleep(AGAIN_MS);
  }
}
