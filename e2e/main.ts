import { createProgress } from '../images/coal/progress.ts';
import { MantaError } from '../lib/errors/manta-error.ts';
import { systemClock } from '../lib/lifecycle/clock.ts';
import { clusterPlace } from './cluster/place.ts';
import type { CommandDeps } from './commands.ts';
import { parseCommandLine, USAGE } from './config.ts';
import { execute } from './execute.ts';

// npm runs scripts in the directory of the package; this is where the user was.
const baseDir = process.env.INIT_CWD ?? process.cwd();
const print = (text: string) => void process.stdout.write(text);
const deps: CommandDeps = {
  place: clusterPlace(process.env),
  env: process.env,
  print,
  progress: createProgress({ clock: systemClock, write: print }),
};

try {
  process.exit(await execute(deps, parseCommandLine(process.argv.slice(2), baseDir), baseDir));
} catch (error) {
  if (error instanceof MantaError) process.stderr.write(`Error: ${error.message}\n`);
  else console.error(error);
  const isUsage = error instanceof MantaError && error.code === 'Usage';
  if (isUsage) process.stderr.write(`\n${USAGE}`);
  process.exit(isUsage ? 2 : 1);
}
