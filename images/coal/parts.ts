import type { Logger } from 'pino';

/** What has been started, so that it can be ended in reverse order. */
export interface Parts {
  add(name: string, close: () => Promise<unknown> | unknown): void;
  /** Ends all; a part that fails to end is logged and does not keep the others from it. Idempotent. */
  end(): Promise<void>;
}

export function createParts(deps: { logger: Logger }): Parts {
  const started: { readonly name: string; readonly close: () => Promise<unknown> | unknown }[] = [];
  let ending: Promise<void> | undefined;
  async function endAll(): Promise<void> {
    for (const { name, close } of started.reverse()) {
      deps.logger.info({ part: name }, 'stopping part');
      try {
        await close();
      } catch (error) {
        deps.logger.error({ err: error, part: name }, 'part did not stop');
      }
    }
  }
  return {
    add: (name, close) => {
      started.push({ name, close });
    },
    end: () => {
      ending ??= endAll();
      return ending;
    },
  };
}
