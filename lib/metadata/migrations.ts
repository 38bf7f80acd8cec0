import { join } from 'node:path';
import type { MigrationSet } from '../database/migrate.ts';

/** Schema and functions of an index database. */
export const indexMigrations: MigrationSet = {
  name: 'metadata',
  directory: join(import.meta.dirname, 'migrations', 'index'),
};

/** Ring and storage nodes in the control database. */
export const controlMigrations: MigrationSet = {
  name: 'metadata',
  directory: join(import.meta.dirname, 'migrations', 'control'),
};
