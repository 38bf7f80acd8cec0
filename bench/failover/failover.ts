import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { cpus, release as kernel, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pino from 'pino';
import { findBinaries } from '../../images/postgres/pg/binaries.ts';
import { findEtcd } from '../../lib/etcd-process/find-etcd.ts';
import { createManta } from './manta.ts';
import { measureFault } from './measure.ts';
import { createPatroni } from './patroni.ts';
import { PROFILES } from './patroni-config.ts';
import { findPatroni, RELEASES } from './patroni-install.ts';
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

Prints a table of seconds and names the directory with the raw records: every repetition, every write and read. A node kill
takes Patroni half a minute, the other faults a few seconds; each fault begins with new servers, and with the warm-up.
`;

/** Makes a system that will live in the directory; nothing runs yet. */
type Create = (dir: string) => System;

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
  const [release = 'current'] = oneOf(RELEASES, values.patroni);
  const skipped = oneOf(['patroni', 'manta', ''], values.skip);
  const { dir: bin } = findBinaries();
  const logger = pino({ level: 'error' }, pino.destination(2));
  const systems: Create[] = [];
  if (!skipped.includes('manta')) {
    const onProgress = (text: string) => say(`manta: ${text}`);
    systems.push(dir => createManta({ logger }, { dir, onProgress }));
  }
  if (!skipped.includes('patroni')) {
    const program = await findPatroni(release);
    for (const profile of profiles) systems.push(dir => createPatroni({ logger }, { dir, bin, profile, program }));
  }
  const plan = { faults, times: Number(values.times), warmUpMs: Number(values['warm-up']) * 1000 };
  return run(systems, plan, [join(bin, 'postgres'), await findEtcd({ logger })]);
}

interface Plan {
  readonly faults: readonly Fault[];
  readonly times: number;
  readonly warmUpMs: number;
}

async function run(systems: readonly Create[], plan: Plan, programs: readonly string[]): Promise<number> {
  const records = await mkdtemp(join(tmpdir(), 'manta-failover-records-'));
  const record = (entry: object) => appendFileSync(join(records, 'samples.jsonl'), `${JSON.stringify(entry)}\n`);
  record({ ...describeMachine(), versions: programs.map(versionOf) });
  const rows: Row[] = [];
  for (const create of systems) {
    for (const fault of plan.faults) {
      const row = await fromNothing(create, async system => {
        record({ system: system.name, ...system.facts });
        const journal = join(records, `${system.name.replaceAll(' ', '-')}-${fault}.jsonl`);
        return measureFault(system, fault, { ...plan, journal, onSample: record, onProgress: say });
      });
      const { samples, ...outcome } = row;
      record({ ...outcome, repetitions: samples.length });
      rows.push(row);
    }
  }
  console.log(`\nSeconds without an acknowledged write\n\n${renderTable(rows)}\n\nraw records: ${records}`);
  return rows.every(({ verdict }) => verdict === 'ok') ? 0 : 1;
}

/**
 * A system of its own for each fault. Its processes are gone afterwards, also after Ctrl-C; so is its directory, but for
 * one that did not come through: its logs say why.
 */
async function fromNothing(create: Create, body: (system: System) => Promise<Row>): Promise<Row> {
  const dir = await mkdtemp(join(tmpdir(), 'manta-failover-'));
  // PostgreSQL's user passes through; what lies in it is each server's own.
  await chmod(dir, 0o711);
  const system = create(dir);
  const interrupted = () => {
    const remove = () => rm(dir, { recursive: true, force: true });
    void system
      .stop()
      .then(remove)
      .finally(() => process.exit(130));
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    const row = await body(system);
    await system.stop();
    if (row.lost === undefined) say(`logs: ${dir}`);
    else await rm(dir, { recursive: true, force: true });
    return row;
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
  }
}

function describeMachine(): object {
  const [cpu] = cpus();
  return { processors: `${cpus().length} × ${cpu?.model}`, memoryBytes: totalmem(), kernel: kernel() };
}

function versionOf(program: string): string {
  return execFileSync(program, ['--version'], { encoding: 'utf8' }).split('\n')[0] ?? '';
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
