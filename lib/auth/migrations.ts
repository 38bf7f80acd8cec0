import { join } from 'node:path';
import type { MigrationSet } from '../database/migrate.ts';

/** The tables of accounts and keys, for the control database. auth.md §13.1. */
export const authMigrations: MigrationSet = { name: 'auth', directory: join(import.meta.dirname, 'migrations') };
