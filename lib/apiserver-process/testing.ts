import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { systemClock } from '../lifecycle/clock.ts';
import { type ApiServer, type ApiServerConfig, startApiServer } from './api-server.ts';

/** A build and a start, should the test run not have built it before its first test. */
const START_WITHIN_MS = 35 * 60_000;

/**
 * For test files: one API server for all tests of the file, which work in namespaces of their own. Started before the
 * first, ended after the last. The function it returns is for use within tests and hooks.
 */
export function useApiServer(config: Omit<ApiServerConfig, 'dir'> = {}): () => ApiServer {
  let dir: string | undefined;
  let server: ApiServer | undefined;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'manta-api-server-'));
    const deps = { logger: pino({ level: 'silent' }), clock: systemClock };
    server = await startApiServer(deps, { dir, ...config });
  }, START_WITHIN_MS);
  afterAll(async () => {
    await server?.stop();
    if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
  });
  return () => {
    if (server === undefined) throw new Error('the API server runs between the hooks of a test file only');
    return server;
  };
}
