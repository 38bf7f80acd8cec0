import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pino } from 'pino';
import { findApiServer } from '../lib/apiserver-process/find-api-server.ts';
import { findEtcd } from '../lib/etcd-process/find-etcd.ts';
import startTestPostgres from '../lib/postgres-process/jest-global-setup.ts';

/** What Jest tells about a run, as far as it is used here. */
interface TestRun {
  readonly rootDir: string;
  readonly testPathPatterns: { toExecutor(options: { rootDir: string }): { isMatch(path: string): boolean } };
}

/**
 * Jest's global set-up: builds the programs that the chosen tests start, since a build takes minutes that no test has,
 * and starts a PostgreSQL for all of them. Where a program cannot be built the tests that need it say so themselves.
 */
export default async function setUp(run: TestRun): Promise<void> {
  if (needsApiServer(run)) {
    const logger = pino({ base: null, timestamp: false }, pino.destination(2));
    try {
      await findApiServer({ logger });
      await findEtcd({ logger });
    } catch (error) {
      logger.warn({ reason: (error as Error).message }, 'tests that need an API server are going to fail');
    }
  }
  await startTestPostgres();
}

/** Whether a chosen test imports what starts one, directly or by way of other files. */
function needsApiServer({ rootDir, testPathPatterns }: TestRun): boolean {
  const chosen = testPathPatterns.toExecutor({ rootDir });
  const target = join(rootDir, 'lib', 'apiserver-process', 'api-server.ts');
  const seen = new Set<string>();
  const reaches = (file: string): boolean => {
    if (file === target) return true;
    if (seen.has(file)) return false;
    seen.add(file);
    return importsOf(file).some(reaches);
  };
  const tests = globSync('{lib,images,operator,controllers,charts}/**/*.test.ts', { cwd: rootDir });
  return tests.map(file => join(rootDir, file)).some(file => chosen.isMatch(file) && reaches(file));
}

function importsOf(file: string): string[] {
  const found = readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+\.ts)'/g);
  return [...found].map(([, path = '']) => resolve(dirname(file), path)).filter(path => existsSync(path));
}
