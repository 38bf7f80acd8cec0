import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { contention } from './contention.ts';
import { copies } from './copies.ts';
import { crash } from './crash.ts';
import { race } from './race.ts';
import { freePort, type Region, startRegion } from './region.ts';
import { printReports, type Report } from './report.ts';
import { resultTable, runShardFaults, scenarios } from './shard/shard-faults.ts';
import { shardMput } from './shard-mput.ts';
import { cut, silence, trickle } from './slow-clients.ts';
import { transfers } from './transfers.ts';

const HELP = `npm run faults -- [names …] [options]

Runs harnesses against real regions in temporary directories and prints a table. All of them take about 15 minutes,
without \`shard\`, which is run by name.

  crash        kill -9 of the whole region under load, restart, verify   (--rounds 20, --workers 500)
  race         create against rmdir                                      (--seconds 15)
  contention   parallel mkdirs, overwrites, create-only PUTs
  copies       a copy missing, truncated, unreadable; a volume gone
  cut          uploads cut half way
  silence      a client that stops sending: 408 after 45 s
  trickle      a slow client that never stops                            (--trickle-seconds 420)
  transfers    1 GiB with the real CLI, memory and bytes on disk         (--mib 1024)

  shard        a shard of three peers and an etcd of three members: processes die and stand still, links are cut, volumes
               and etcd are lost, under load; gaps are measured against the goals of replication.md 1.3
                 --only F1,F7       rows, or words of their names; \`--only list\` lists them
                 --times N          rounds of each, in place of its own number
                 --minutes M        no round begins later
                 --slack 3          times the goals, on a busy machine
                 --etcd 1           one etcd member
                 --keep             directories stay, with all logs
               Two rows take so long that only words of their names run them: "60 s" and "600 s".

  shard-mput   by name: 64 mputs of the real CLI at once into a region on a shard of three peers, whose primary is killed
               with kill -9, first its postmaster, then all its processes: none is lost, all succeed  (--clients 64)
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '20' },
    workers: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '15' },
    'trickle-seconds': { type: 'string', default: '420' },
    mib: { type: 'string', default: '1024' },
    only: { type: 'string' },
    times: { type: 'string' },
    minutes: { type: 'string' },
    slack: { type: 'string' },
    etcd: { type: 'string', default: '3' },
    clients: { type: 'string', default: '64' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

type Place = { readonly dir: string; readonly port: number };

/** Those that start and end regions themselves. */
const onTheirOwn: Record<string, (place: Place) => Promise<Report>> = {
  crash: place => crash({ ...place, rounds: Number(values.rounds), workers: Number(values.workers) }),
  'shard-mput': place => shardMput({ ...place, clients: Number(values.clients) }),
};

const onOneRegion: Record<string, (region: Region) => Promise<Report>> = {
  race: region => race(region, Number(values.seconds)),
  contention,
  copies,
  cut,
  silence,
  trickle: region => trickle(region, Number(values['trickle-seconds'])),
  transfers: region => transfers(region, Number(values.mib)),
};

async function main(): Promise<number> {
  if (positionals[0] === 'shard' && positionals.length === 1 && !values.help) return shard();
  const names = positionals.length > 0 ? positionals : ['crash', ...Object.keys(onOneRegion)];
  const unknown = names.filter(name => onTheirOwn[name] === undefined && onOneRegion[name] === undefined);
  if (values.help || unknown.length > 0) {
    if (unknown.length > 0) console.error(`no harness is called ${unknown.join(', ')}\n`);
    console.log(HELP);
    return unknown.length > 0 ? 2 : 0;
  }
  const reports: Report[] = [];
  for (const name of names) {
    console.log(`— ${name}`);
    const dir = await mkdtemp(join(tmpdir(), `manta-${name}-`));
    try {
      const place = { dir, port: await freePort() };
      reports.push(await (onTheirOwn[name]?.(place) ?? onRegion(place, onOneRegion[name])));
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }
  printReports(reports);
  return reports.every(({ problems }) => problems.length === 0) ? 0 : 1;
}

/** 1 when anything was lost, wrong, or slower than its goal. */
async function shard(): Promise<number> {
  if (values.only === 'list') {
    for (const { row, name, times } of scenarios) console.log(`${row.padEnd(4)} ${name} (${times} times)`);
    return 0;
  }
  const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));
  const results = await runShardFaults({
    only: values.only?.split(','),
    times: number(values.times),
    minutes: number(values.minutes),
    slack: number(values.slack),
    etcdMembers: values.etcd === '1' ? 1 : 3,
    keep: values.keep,
  });
  console.log(`\n${resultTable(results)}`);
  return results.every(({ problems }) => problems.length === 0) ? 0 : 1;
}

async function onRegion(place: Place, harness: ((region: Region) => Promise<Report>) | undefined): Promise<Report> {
  if (harness === undefined) throw new Error('no such harness');
  const region = await startRegion(place);
  try {
    return await harness(region);
  } finally {
    await region.stop();
  }
}

process.exitCode = await main();
