import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { parse } from 'yaml';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { stopOnSignals } from '../../lib/lifecycle/stop-on-signals.ts';
import { connectNameservice } from '../../lib/shard/nameservice.ts';
import { createProgram } from './program.ts';
import { parseProgramConfig } from './program-config.ts';

/** webapi as a process: `main.ts <configuration file>`. SIGTERM and SIGINT end it gracefully, a second one at once. */
const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('usage: main.ts <configuration file>');
const config = parseProgramConfig(parse(readFileSync(file, 'utf8')), process.env);
const { nameservice, regionKey } = config;

const logger = pino({ name: 'webapi', level: config.logLevel, timestamp: pino.stdTimeFunctions.isoTime });
const program = createProgram(
  {
    logger,
    clock: systemClock,
    random: Math.random,
    password: path => readFileSync(path, 'utf8').trim(),
    coordinator:
      nameservice &&
      connectNameservice({ logger, clock: systemClock, readFile: path => readFileSync(path) }, nameservice),
    privateKey: createPrivateKey(readFileSync(regionKey.privateKeyFile)),
    publicKeys: new Map(
      Object.entries(regionKey.publicKeyFiles).map(([kid, path]) => [kid, createPublicKey(readFileSync(path))]),
    ),
  },
  config,
);
logger.info({ config }, 'starting');
// Before it listens: tables may be long in coming, and the first process of a container ignores what it does not handle.
stopOnSignals({ logger }, program.close);
const urls = await program.listen();
if (urls !== undefined) logger.info(urls, 'listening');
