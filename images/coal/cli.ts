import { MantaError } from '../../lib/errors/manta-error.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { type AdminClient, createAdminClient } from './admin-client.ts';
import { parseCommand, usage } from './commands.ts';
import { loadRegionKey } from './keys.ts';
import { readRegionFile } from './region-file.ts';
import { createRegionTokens } from './region-tokens.ts';

/** A client of the region that runs on `dir`. Throws MantaError `RegionNotRunning`, which says how to start it. */
async function connect(dir: string): Promise<AdminClient> {
  const region = readRegionFile(dir);
  if (region?.processId === undefined || region.ports.internal === undefined) {
    throw new MantaError(
      'RegionNotRunning',
      `no region runs on ${dir}: start it with npm start, or name another one with --dir`,
    );
  }
  const tokens = createRegionTokens(region.name, await loadRegionKey(dir), systemClock);
  return createAdminClient({
    signer: tokens.signerFor(`cli/${process.getuid?.() ?? 0}`),
    internalUrl: `http://127.0.0.1:${region.ports.internal}`,
  });
}

try {
  const command = parseCommand(process.argv.slice(2), process.env.INIT_CWD ?? process.cwd());
  process.stdout.write(command === undefined ? usage : await command.run(await connect(command.dir)));
} catch (error) {
  if (error instanceof MantaError) process.stderr.write(`Error: ${error.message}\n`);
  else console.error(error);
  const isUsage = error instanceof MantaError && error.code === 'Usage';
  if (isUsage) process.stderr.write(`\n${usage}`);
  process.exitCode = isUsage ? 2 : 1;
}
