import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { pino } from 'pino';
import { keepPasswords } from '../images/postgres/local/layout.ts';
import { type OpenShard, openShard } from '../images/postgres/local/open-shard.ts';
import { signalProcess } from '../images/postgres/local/process-tree.ts';
import { isHealthy } from '../images/postgres/local/shard-status.ts';
import { eventually } from '../lib/eventually/eventually.ts';
import { systemClock } from '../lib/lifecycle/clock.ts';
import { inconsistencies } from './consistency.ts';
import { type Region, startRegion } from './region.ts';
import type { Report } from './report.ts';
import { createStartingGate } from './starting-gate.ts';

/** What is killed of the primary. */
const VICTIMS = ['postmaster', 'all processes'] as const;
type Victim = (typeof VICTIMS)[number];

const START_WITHIN_MS = 180_000;
const HEALTHY_WITHIN_MS = 180_000;
/** Processes that start at once: more would only be in each other's way. */
const WAVE = 8;
const WAVE_WITHIN_MS = 60_000;
const END_WITHIN_MS = 120_000;

/**
 * Many `mput -f` of the real CLI, each a process, let loose at once on a region on three peers, whose primary is killed
 * in the middle. What a single attempt may fail with is 503 and nothing else; the CLI tries again by itself, up to three
 * times within seven seconds, so that every command succeeds; and whatever succeeded is there, with its bytes.
 */
export async function shardMput(options: { dir: string; port: number; clients: number }): Promise<Report> {
  const { dir, clients } = options;
  const region = await startRegion({ ...options, options: ['--shard-peers', '3'], withinMs: START_WITHIN_MS });
  const shard = await openShard({ logger: pino({ level: 'silent' }), clock: systemClock }, join(dir, 'shard'));
  const problems: string[] = [];
  try {
    for (const victim of VICTIMS) {
      const { summary, problems: found } = await runOnce(region, shard, victim, clients);
      console.log(`${victim} killed: ${summary}`);
      problems.push(...found.map(problem => `${victim}: ${problem}`));
    }
    problems.push(...(await lookInside(region.dir, shard)));
  } finally {
    await shard.close();
    problems.push(...(await region.stop()));
  }
  return { name: 'shard-mput', figures: { clients, kills: VICTIMS.length }, problems };
}

interface Run {
  readonly summary: string;
  readonly problems: readonly string[];
}

async function runOnce(region: Region, shard: OpenShard, victim: Victim, clients: number): Promise<Run> {
  await untilHealthy(shard);
  const name = victim.replaceAll(' ', '-');
  const gate = await createStartingGate(Number(new URL(region.url).port));
  const commands: Command[] = [];
  try {
    for (let index = 0; index < clients; index += 1) {
      commands.push(startCommand(region, gate.url, `${name}-${index}`));
      if (commands.length % WAVE === 0) await gate.arrived(commands.length, WAVE_WITHIN_MS);
    }
    await gate.arrived(clients, WAVE_WITHIN_MS);
    const victims = await find(victim, shard);
    gate.open();
    // Then the others are at any point of their way.
    await eventually(() => gate.acknowledged() > 0, END_WITHIN_MS);
    const kill = { at: Date.now(), acknowledged: gate.acknowledged() };
    for (const pid of victims) signalProcess(pid, 'SIGKILL');
    const ended = await Promise.all(commands.map(({ ended }) => ended));
    await untilHealthy(shard);
    return await judge(region, ended, kill);
  } finally {
    for (const { child } of commands) child.kill('SIGKILL');
    await gate.close();
  }
}

function untilHealthy(shard: OpenShard): Promise<void> {
  return eventually(async () => isHealthy(await shard.status()) === undefined, HEALTHY_WITHIN_MS);
}

interface Command {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

interface Ended {
  readonly name: string;
  readonly body: Buffer;
  readonly code: number | null;
  /** Names of the errors that attempts ended with, the last one's too when the command failed. */
  readonly failures: readonly string[];
  /** Epoch milliseconds of the answer; undefined when the command failed. */
  readonly doneAt: number | undefined;
  readonly lastWords: string;
}

function startCommand(region: Region, url: string, name: string): Command {
  const bodies = join(region.dir, 'logs', 'bodies');
  mkdirSync(bodies, { recursive: true });
  const file = join(bodies, name);
  const body = randomBytes(8_192);
  writeFileSync(file, body);
  const script = `. '${join(region.dir, 'env')}'; MANTA_URL=${url} LOG_LEVEL=debug exec mput -qf '${file}' ~~/stor/${name}`;
  const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'ignore', 'pipe'], timeout: END_WITHIN_MS + 600_000 });
  const code = new Promise<number | null>(resolve => child.once('exit', resolve));
  const ended = Promise.all([code, text(child.stderr)]).then(([exit, log]) => readLog(name, body, exit, log));
  return { child, ended };
}

/** Reads what the CLI logs of its attempts, a JSON object a line, and what it says at its end, which is none. */
function readLog(name: string, body: Buffer, code: number | null, log: string): Ended {
  const lines = log.split('\n').filter(line => line !== '');
  const records = lines.filter(line => line.startsWith('{')).map(line => JSON.parse(line) as LogRecord);
  const lastWords = lines.filter(line => !line.startsWith('{')).join(' ');
  const failures = records
    .filter(({ msg }) => msg.startsWith('request failed'))
    .map(({ err }) => err?.name ?? 'nameless');
  const done = records.find(({ msg }) => msg === 'put: done');
  const last = /^mput: (\w+)/.exec(lastWords)?.[1] ?? 'silence';
  return {
    name,
    body,
    code,
    failures: code === 0 ? failures : [...failures, last],
    doneAt: code === 0 && done !== undefined ? Date.parse(done.time) : undefined,
    lastWords,
  };
}

interface LogRecord {
  readonly msg: string;
  readonly time: string;
  readonly err?: { readonly name?: string };
}

/** The processes to kill. To look for them takes longer than many uploads. */
async function find(victim: Victim, shard: OpenShard): Promise<readonly number[]> {
  const primary = (await shard.client.read()).state?.value.primary.id ?? '';
  const { postmaster, all } = shard.parts(primary);
  if (postmaster === undefined) throw new Error(`${primary} has no PostgreSQL that could be killed`);
  return victim === 'postmaster' ? [postmaster] : all;
}

const RETRYABLE = 'ServiceUnavailableError';

interface Kill {
  readonly at: number;
  /** What had been acknowledged by then. */
  readonly acknowledged: number;
}

async function judge(region: Region, ended: readonly Ended[], kill: Kill): Promise<Run> {
  const succeeded = ended.filter(({ code }) => code === 0);
  const failures = ended.flatMap(one => one.failures);
  const strange = failures.filter(failure => failure !== RETRYABLE);
  const lost = (await Promise.all(succeeded.map(one => whatIsLost(region, one)))).flat();
  const problems = [
    ...ended.filter(({ code }) => code !== 0).map(one => `${one.name} failed: ${one.lastWords}`),
    ...strange.map(failure => `an attempt ended with ${failure}`),
    ...lost,
    ...(kill.acknowledged === ended.length ? ['the kill came too late to disturb anybody'] : []),
  ];
  const figures = {
    'acknowledged before the kill': kill.acknowledged,
    'after it': succeeded.length - kill.acknowledged,
    'tried again': ended.filter(one => one.failures.length > 0).length,
    'attempts answered 503': failures.length - strange.length,
    'attempts failed otherwise': strange.length,
    failed: ended.length - succeeded.length,
    lost: lost.length,
    'ms from the kill to the last': Math.max(...succeeded.map(one => one.doneAt ?? Number.NaN)) - kill.at,
  };
  const summary = Object.entries(figures).map(([name, value]) => `${value} ${name}`);
  return { summary: summary.join(', '), problems };
}

async function whatIsLost({ client }: Region, { name, body }: Ended): Promise<string[]> {
  const answer = await client.request('GET', `/${client.login}/stor/${name}`);
  if (answer.status !== 200) return [`${name} was acknowledged, and GET answers ${answer.status}`];
  return answer.body.equals(body) ? [] : [`${name} was acknowledged, and has other bytes`];
}

/** As the owner of the tables, at the primary. */
async function lookInside(dir: string, shard: OpenShard): Promise<string[]> {
  const { hostname: host, port } = new URL((await shard.client.read()).state?.value.primary.pgUrl ?? '');
  const password = keepPasswords(shard.dir).manta_migrate ?? '';
  const databases = ['control', 'index_1', 'index_2'].map(
    database => new pg.Client({ host, port: Number(port), user: 'manta_migrate', password, database }),
  );
  try {
    for (const database of databases) await database.connect();
    const [control, ...index] = databases;
    return control === undefined ? [] : await inconsistencies({ control, index, dir });
  } finally {
    for (const database of databases) await database.end();
  }
}
