import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { parse } from 'yaml';
import { connectKubernetes } from '../../lib/kubernetes/connect.ts';
import { locateKubernetes } from '../../lib/kubernetes/location.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { stopOnSignals } from '../../lib/lifecycle/stop-on-signals.ts';
import { loadbalancerConfigSchema } from './config.ts';
import { createLoadbalancer } from './loadbalancer.ts';

/** The load balancer as a process: `main.ts <configuration file>`. SIGTERM and SIGINT end it gracefully, a second one at once. */
const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('usage: main.ts <configuration file>');
const config = loadbalancerConfigSchema.parse(parse(readFileSync(file, 'utf8')));

const logger = pino({ name: 'loadbalancer', level: config.logLevel, timestamp: pino.stdTimeFunctions.isoTime });
const isFollowing = config.backends.kind === 'service';
const loadbalancer = await createLoadbalancer(
  {
    logger,
    clock: systemClock,
    accessLog: line => process.stdout.write(line),
    kubernetes: isFollowing
      ? await connectKubernetes({ clock: systemClock }, { location: locateKubernetes(process.env) })
      : undefined,
  },
  config,
);
logger.info({ config }, 'starting');
logger.info(await loadbalancer.listen(), 'listening');
stopOnSignals({ logger }, loadbalancer.close);
loadbalancer.died.then(how => {
  logger.fatal({ how }, 'nginx is gone');
  process.exit(1);
});
