import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { parse } from 'yaml';
import { connectKubernetes } from '../lib/kubernetes/connect.ts';
import { locateKubernetes } from '../lib/kubernetes/location.ts';
import { systemClock } from '../lib/lifecycle/clock.ts';
import { stopOnSignals } from '../lib/lifecycle/stop-on-signals.ts';
import { operatorConfigSchema } from './config.ts';
import { createOperator } from './program.ts';
import { createRuntimeMetrics } from './runtime/metrics.ts';

/** The operator as a process: `main.ts <configuration file>`. SIGTERM and SIGINT end it gracefully, a second one at once. */
const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('usage: main.ts <configuration file>');
const config = operatorConfigSchema.parse(parse(readFileSync(file, 'utf8')));
const instance = process.env.POD_NAME ?? hostname();

const logger = pino({ name: 'operator', level: config.logLevel, timestamp: pino.stdTimeFunctions.isoTime });
const registry = new Registry();
const metrics = createRuntimeMetrics(registry);
const kubernetes = await connectKubernetes(
  { clock: systemClock, observe: metrics.observeExchange },
  { location: locateKubernetes(process.env) },
);
const operator = createOperator(
  {
    kubernetes,
    clock: systemClock,
    random: Math.random,
    logger,
    registry,
    metrics,
    instance,
    identity: `${instance}_${randomUUID()}`,
    exit: () => process.exit(1),
  },
  config,
);
stopOnSignals({ logger }, operator.stop);
logger.info({ config }, 'starting');
logger.info(await operator.start(), 'listening');
