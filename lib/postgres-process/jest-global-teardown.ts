import { rmSync } from 'node:fs';

/** Jest's global tear-down: stops what the global set-up started. */
export default async function stopTestPostgres(): Promise<void> {
  const running = globalThis.mantaTestPostgres;
  if (running === undefined) return;
  await running.server.stop();
  rmSync(running.dir, { recursive: true, force: true });
}
