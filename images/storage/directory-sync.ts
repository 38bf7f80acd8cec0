/** Makes the entries of directories durable; callers that arrive while a sync runs share the next one. */
export interface DirectorySync {
  /** Resolves when everything that was in `dir` at the time of the call will survive a power cut. */
  sync(dir: string): Promise<void>;
}

/** `syncNow` starts one sync of a directory. */
export function createDirectorySync(syncNow: (dir: string) => Promise<void>): DirectorySync {
  const running = new Map<string, Promise<void>>();
  const waiting = new Map<string, Promise<void>>();

  function start(dir: string): Promise<void> {
    const current = syncNow(dir).finally(() => running.delete(dir));
    running.set(dir, current);
    return current;
  }

  return {
    sync(dir) {
      const current = running.get(dir);
      if (current === undefined) return start(dir);
      // The running sync may have begun before the caller's rename: only one that starts later covers it.
      let next = waiting.get(dir);
      if (next === undefined) {
        next = current
          .catch(() => {})
          .then(() => {
            waiting.delete(dir);
            return start(dir);
          });
        waiting.set(dir, next);
      }
      return next;
    },
  };
}
