import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { parse } from 'yaml';
import { createEtcdCoordinator } from '../../lib/coordinator/etcd.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { parseSitterConfig, printable, serverConfigOf } from './config.ts';
import { etcdConfigOf } from './etcd-access.ts';
import { createServer } from './pg/create-server.ts';
import { startProgram } from './program.ts';
import { requireVolumeLock } from './volume-lock.ts';

/**
 * A peer of a shard as a process: `main.ts --config FILE`, or with `MANTA_POSTGRES_CONFIG` naming the file. To be started
 * by `flock`, which locks the data volume. SIGTERM and SIGINT end it in order, a second one at once.
 */
const { values } = parseArgs({ options: { config: { type: 'string' } } });
const file = values.config ?? process.env.MANTA_POSTGRES_CONFIG;
if (file === undefined) throw new Error('usage: main.ts --config FILE');
const config = parseSitterConfig(parse(readFileSync(file, 'utf8')), process.env);
requireVolumeLock(config.dataDir);

const logger = pino({
  name: 'postgres',
  level: config.logLevel,
  timestamp: pino.stdTimeFunctions.isoTime,
  base: { peer: config.id },
});
const coordinator = createEtcdCoordinator({ logger, clock: systemClock }, etcdConfigOf(config.etcd));
logger.info({ config: printable(config) }, 'starting');
const program = await startProgram(
  {
    logger,
    clock: systemClock,
    coordinator,
    createServer: deps => createServer(deps, serverConfigOf(config)),
    randomName: () => randomBytes(6).toString('hex'),
    zone: config.zoneFile === undefined ? undefined : readFileSync(config.zoneFile, 'utf8').trim() || undefined,
  },
  config,
);
let isStopping = false;
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (isStopping) process.exit(1);
    isStopping = true;
    logger.info({ signal }, 'stopping');
    program.terminate();
  });
}
program.ended.then(
  () => process.exit(0),
  () => process.exit(1),
);
