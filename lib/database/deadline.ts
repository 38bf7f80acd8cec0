import { DatabaseError } from './failure.ts';

/** When a call stops waiting. */
export interface QueryOptions {
  /** Stops waiting for the reply; the statement itself is never cancelled, because it may be committing. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds from now after which the call stops waiting. */
  readonly deadlineMs?: number | undefined;
}

/** What is known of one call. */
export interface Call {
  readonly signal: AbortSignal;
  /** A statement was sent and may have been applied. */
  isSent: boolean;
}

/**
 * Rejects at the deadline or on abort while `work` goes on. At the deadline a statement already sent has an unknown
 * outcome; one that was not is never sent, which `work` sees to by the call's signal.
 */
export function withinDeadline<T>(
  options: QueryOptions,
  defaultMs: number,
  work: (call: Call) => Promise<T>,
): Promise<T> {
  const given = new AbortController();
  const call: Call = { signal: given.signal, isSent: false };
  return new Promise<T>((resolve, reject) => {
    const giveUp = (reason: unknown) => {
      reject(reason);
      given.abort(reason);
    };
    const onAbort = () => giveUp(options.signal?.reason);
    if (options.signal?.aborted) {
      onAbort();
      return;
    }
    const timer = setTimeout(
      () => giveUp(new DatabaseError(call.isSent ? 'unknown' : 'unavailable', 'no reply within the deadline')),
      options.deadlineMs ?? defaultMs,
    );
    options.signal?.addEventListener('abort', onAbort, { once: true });
    work(call)
      .then(resolve, reject)
      .finally(() => {
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', onAbort);
      });
  });
}
