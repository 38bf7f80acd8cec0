import { join } from 'node:path';
import type { Logger } from 'pino';
import { prepareDatabases } from '../../lib/database/prepare.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { startPostgres } from '../../lib/postgres-process/postgres-process.ts';
import { serverDirOf } from './database-kind.ts';
import type { DatabaseHost } from './databases.ts';
import type { Parts } from './parts.ts';
import type { StateDirectory } from './state-directory.ts';

/** Starts one server of the PostgreSQL that comes with the dependencies. A region does not outlive it. */
export async function startOneServer(
  deps: { readonly logger: Logger },
  state: StateDirectory,
  parts: Parts,
): Promise<DatabaseHost> {
  const dir = serverDirOf(state.path);
  const server = await startPostgres(deps, { dir });
  parts.add('database', () => server.stop());
  const { passwords } = state.region;
  const { host, port } = server.connection;
  state.update({ postgres: { host, port } });
  return {
    prepare: databases => prepareDatabases(() => ({ ...server.connection }), { databases, passwords }),
    target: (database, user) => () => ({ host, port, user, password: passwords[user], database }),
    failed: server.exited.then(() => databaseEnded(dir)),
    abandon: () => {
      try {
        process.kill(server.pid, 'SIGINT');
      } catch {
        // It has ended.
      }
    },
  };
}

function databaseEnded(dir: string): MantaError {
  const log = join(dir, 'postgres.log');
  return new MantaError('DatabaseEnded', `the database ended by itself; ${log} says why. Start the region again.`);
}
