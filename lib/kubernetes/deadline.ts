/**
 * Runs `work` with a signal that aborts when `signal` does, or after `ms` milliseconds with the reason that `late`
 * makes. Nothing of it outlives the work.
 */
export async function withDeadline<T>(
  signal: AbortSignal | undefined,
  ms: number,
  late: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const follow = () => controller.abort(signal?.reason);
  const timer = setTimeout(() => controller.abort(late()), ms);
  signal?.addEventListener('abort', follow, { once: true });
  try {
    return await work(controller.signal);
  } catch (error) {
    // Whatever a layer below made of the abort: who aborted says why.
    if (controller.signal.aborted) throw controller.signal.reason;
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', follow);
  }
}
