import { MantaError } from '../../lib/errors/manta-error.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { banner } from './banner.ts';
import { type Coal, createCoal } from './coal.ts';
import { type CoalConfig, parseCommandLine, usage } from './config.ts';
import { createProgress } from './progress.ts';
import { openRegionLog } from './region-log.ts';
import { openStateDirectory } from './state-directory.ts';
import { createStopSignals } from './stop-signals.ts';

const EXIT_INTERRUPTED = 130;
// npm runs scripts in the directory of the package; this is where the user was.
const baseDir = process.env.INIT_CWD ?? process.cwd();
const print = (text: string) => process.stdout.write(text);

/** Runs a region until a signal. Returns the exit code. */
async function run(config: CoalConfig): Promise<number> {
  const interrupted = new AbortController();
  let coal: Coal | undefined;
  const onSignal = createStopSignals(
    { clock: systemClock },
    {
      stop: () => {
        print('\nStopping; requests that are under way may end. Ctrl-C again ends at once.\n');
        interrupted.abort();
      },
      endAtOnce: () => {
        coal?.abandon();
        process.exit(EXIT_INTERRUPTED);
      },
    },
  );
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);

  const state = openStateDirectory(config.dir, process.pid);
  const { logger, flush } = openRegionLog(state.path);
  process.on('exit', flush);
  print(`Starting a region in ${state.path}\n`);
  const deps = { logger, clock: systemClock, progress: createProgress({ clock: systemClock, write: print }) };
  logger.info({ config }, 'region starting');
  try {
    coal = await createCoal(deps, config, state, interrupted.signal);
  } catch (error) {
    if (interrupted.signal.aborted) return 0;
    logger.fatal({ err: error }, 'region did not start');
    throw error;
  }
  logger.info({ environment: coal.environment }, 'region ready');
  print(banner(coal, state.path, baseDir));
  const stopRequested = new Promise<undefined>(resolve => {
    if (interrupted.signal.aborted) resolve(undefined);
    interrupted.signal.addEventListener('abort', () => resolve(undefined));
  });
  const failure = await Promise.race([stopRequested, coal.failed]);
  if (failure !== undefined) {
    logger.fatal({ err: failure }, 'region failed');
    process.stderr.write(`\nError: ${failure.message}\n`);
  }
  await coal.stop();
  print('Stopped.\n');
  return failure === undefined ? 0 : 1;
}

try {
  const config = parseCommandLine(process.argv.slice(2), baseDir);
  if (config === undefined) print(usage);
  process.exit(config === undefined ? 0 : await run(config));
} catch (error) {
  if (error instanceof MantaError) process.stderr.write(`Error: ${error.message}\n`);
  else console.error(error);
  if (error instanceof MantaError && error.code === 'Usage') process.stderr.write(`\n${usage}`);
  process.exit(error instanceof MantaError && error.code === 'Usage' ? 2 : 1);
}
