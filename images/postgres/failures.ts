import type { Logger } from 'pino';
import { codeOf } from '../../lib/errors/manta-error.ts';
import type { Failure } from './snapshot.ts';

/** What has failed in a row, by kind of action or job. Rules read it to wait longer or to give up. */
export interface Failures {
  readonly current: Readonly<Record<string, Failure>>;
  /** Counts and logs it. */
  failed(kind: string, error: unknown): void;
  succeeded(kind: string): void;
}

/** Nothing has failed yet. */
export function createFailures(deps: { readonly logger: Logger; readonly now: () => number }): Failures {
  const current: Record<string, Failure> = {};
  return {
    current,
    failed(kind, error) {
      const code = codeOf(error);
      const isUnreachable = code === 'SourceUnreachable';
      const count = (current[kind]?.count ?? 0) + (isUnreachable ? 0 : 1);
      const message = error instanceof Error ? error.message : String(error);
      current[kind] = { count, lastAt: deps.now(), message, ...(isUnreachable ? { isUnreachable } : {}) };
      deps.logger.warn({ kind, count, code, err: error }, 'action failed');
    },
    succeeded(kind) {
      delete current[kind];
      // A rebuild that was asked for starts over (replication.md §7.9 step 5).
      if (kind === 'discard-directory') delete current['base-backup'];
    },
  };
}
