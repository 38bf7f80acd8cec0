import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePort, startRegion } from '../faults/region.ts';
import { measureApi } from './api.ts';
import { failover } from './failover/failover.ts';
import { operator } from './operator/operator.ts';

const HELP = `npm run bench -- [--seconds 5] [--in-flight 1,32]
npm run bench -- failover [options], described by --help after it
npm run bench -- operator [options], likewise

Without a name: starts a region on this machine in a temporary directory and measures its public API, one operation after the other.
Client, API, storage nodes and PostgreSQL share the processors and the disk, so compare runs on one machine only.
`;

async function api(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '5' },
      'in-flight': { type: 'string', default: '1,32' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const dir = await mkdtemp(join(tmpdir(), 'manta-bench-'));
  const region = await startRegion({ dir, port: await freePort() });
  try {
    for (const inFlight of values['in-flight'].split(',').map(Number)) {
      console.log(`\n${inFlight} in flight`);
      for (const figure of await measureApi(region.client, { inFlight, seconds: Number(values.seconds) })) {
        const [rate, p50, p99] = [figure.perSecond, figure.p50Ms, figure.p99Ms].map(String);
        console.log(
          `  ${figure.what.padEnd(24)} ${rate?.padStart(6)}/s   p50 ${p50?.padStart(6)} ms   p99 ${p99?.padStart(6)} ms`,
        );
      }
    }
  } finally {
    await region.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

const [name, ...args] = process.argv.slice(2);
if (name === 'failover') process.exitCode = await failover(args);
else if (name === 'operator') process.exitCode = await operator(args);
else await api();
