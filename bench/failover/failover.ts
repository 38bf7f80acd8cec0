import { appendFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pino from 'pino';
import { measureFault } from './measure.ts';
import { createPatroni } from './patroni.ts';
import { PROFILES, type Profile } from './patroni-config.ts';
import { RELEASES, type Release } from './patroni-install.ts';
import { findServerPrograms } from './server-programs.ts';
import { FAULTS, type Fault, type System } from './system.ts';
import { type Row, renderTable } from './table.ts';

const HELP = `npm run bench -- failover [options]

How long can clients not get a write acknowledged when something dies or is handed over? A shard of ours and Patroni, three
servers each, one after the other on this machine: the same PostgreSQL programs, etcd, durability, load and checker.

  --times 5            repetitions of each fault
  --only a,b           faults: ${FAULTS.join(', ')}
  --profile fastest    of Patroni: ${PROFILES.join(', ')}; several with commas
  --patroni current    its release: ${RELEASES.join(', ')}
  --skip patroni       or manta
  --warm-up 60         seconds of load before the first fault of a kind

Prints a table of seconds and names the file with the raw records. Takes about 30 s for each repetition, more with stock.
`;

type Start = (dir: string) => Promise<System>;

/** The command. Resolves with its exit code: 1 when a checker found a violation or a system did not come back. */
export async function failover(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      times: { type: 'string', default: '5' },
      only: { type: 'string', default: FAULTS.join() },
      profile: { type: 'string', default: 'fastest' },
      patroni: { type: 'string', default: 'current' },
      skip: { type: 'string', default: '' },
      'warm-up': { type: 'string', default: '60' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const faults = oneOf(FAULTS, values.only);
  const profiles = oneOf(PROFILES, values.profile);
  const [patroni = 'current'] = oneOf(RELEASES, values.patroni);
  const skipped = oneOf(['patroni', 'manta', ''], values.skip);
  const bin = await findServerPrograms();
  const logger = pino({ level: 'warn' }, pino.destination(2));
  const systems: Start[] = [
    ...(skipped.includes('patroni') ? [] : profiles.map(profile => patroniOf(patroni, profile))),
  ];

  function patroniOf(release: Release, profile: Profile): Start {
    return dir => createPatroni({ logger }, { dir, bin, profile, release });
  }

  return run(systems, { faults, times: Number(values.times), warmUpMs: Number(values['warm-up']) * 1000, bin });
}

interface Plan {
  readonly faults: readonly Fault[];
  readonly times: number;
  readonly warmUpMs: number;
  readonly bin: string;
}

async function run(systems: readonly Start[], plan: Plan): Promise<number> {
  const records = join(tmpdir(), `manta-failover-${new Date().toISOString().replaceAll(':', '-')}.jsonl`);
  const record = (entry: object) => appendFileSync(records, `${JSON.stringify(entry)}\n`);
  const [cpu] = cpus();
  record({
    machine: `${cpus().length} × ${cpu?.model}`,
    memoryBytes: totalmem(),
    kernel: release(),
    postgres: plan.bin,
  });
  const rows: Row[] = [];
  let isWhole = true;
  for (const start of systems) {
    try {
      await onSystem(start, plan, record, rows);
    } catch (error) {
      isWhole = false;
      say(`given up: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  console.log(`\nSeconds without an acknowledged write\n\n${renderTable(rows)}\n\nraw records: ${records}`);
  return isWhole && rows.every(({ verdict }) => verdict === 'ok') ? 0 : 1;
}

/** From nothing to nothing: the system's processes and directory are gone afterwards, also after Ctrl-C. */
async function onSystem(start: Start, plan: Plan, record: (entry: object) => void, rows: Row[]): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'manta-failover-'));
  // PostgreSQL's user passes through; what lies in it is each server's own.
  await chmod(dir, 0o711);
  let system: System | undefined;
  const clear = async () => {
    await system?.stop();
    await rm(dir, { recursive: true, force: true });
  };
  const interrupted = () => void clear().finally(() => process.exit(130));
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    system = await start(dir);
    record({ system: system.name, ...system.facts });
    say(`${system.name}: starting three servers`);
    await system.start();
    await system.waitHealthy(120_000);
    for (const fault of plan.faults) {
      const row = await measureFault(system, fault, { ...plan, onSample: record, onProgress: say });
      record({ system: row.system, fault, lost: row.lost, verdict: row.verdict });
      rows.push(row);
    }
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
    await clear();
  }
}

function oneOf<Name extends string>(known: readonly Name[], list: string): readonly Name[] {
  return list.split(',').map(name => {
    const found = known.find(candidate => candidate === name);
    if (found === undefined) throw new Error(`${name} is none of ${known.join(', ')}`);
    return found;
  });
}

/** Progress, apart from the result. */
function say(line: string): void {
  console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);
}
