import type { Logger } from 'pino';

/**
 * For a program's `main.ts`: SIGTERM and SIGINT end the process through `close`, with exit code 0 or, when that fails, 1;
 * a second signal ends it at once.
 */
export function stopOnSignals(deps: { readonly logger: Logger }, close: () => Promise<void>): void {
  let isStopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (isStopping) process.exit(1);
      isStopping = true;
      deps.logger.info({ signal }, 'stopping');
      close().then(
        () => process.exit(0),
        error => {
          deps.logger.error({ err: error }, 'did not stop in order');
          process.exit(1);
        },
      );
    });
  }
}
