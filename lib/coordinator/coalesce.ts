/**
 * Makes calls of `work` share its runs: at most one runs, at most one waits behind it. Every caller gets the outcome of a
 * run that began after it called, so that what it reads is no older than its question.
 */
export function coalesce<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  let queued: Promise<T> | undefined;

  function begin(): Promise<T> {
    const run = work().finally(() => {
      if (running === run) running = undefined;
    });
    running = run;
    return run;
  }

  return () => {
    if (queued !== undefined) return queued;
    if (running === undefined) return begin();
    queued = running
      .then(
        () => {},
        () => {},
      )
      .then(() => {
        queued = undefined;
        return begin();
      });
    return queued;
  };
}
