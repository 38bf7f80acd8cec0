import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { parse } from 'yaml';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { stopOnSignals } from '../../lib/lifecycle/stop-on-signals.ts';
import { createProgram } from './program.ts';
import { parseProgramConfig } from './program-config.ts';

/** A storage node as a process: `main.ts <configuration file>`. SIGTERM and SIGINT end it gracefully, a second one at once. */
const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('usage: main.ts <configuration file>');
const config = parseProgramConfig(parse(readFileSync(file, 'utf8')), process.env);
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

const logger = pino({ name: 'storage', level: config.logLevel, timestamp: pino.stdTimeFunctions.isoTime });
const program = createProgram(
  {
    logger,
    clock: systemClock,
    nodeToken: readFileSync(config.nodeTokenFile, 'utf8').trim(),
    publicKeys: new Map(
      Object.entries(config.publicKeyFiles).map(([kid, path]) => [kid, createPublicKey(readFileSync(path))]),
    ),
    version,
  },
  config,
);
logger.info({ config }, 'starting');
logger.info(await program.listen(), 'listening');
stopOnSignals({ logger }, program.close);
