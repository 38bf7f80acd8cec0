import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { parseTime } from './backup/restore-plan.ts';
import { commands } from './local/commands.ts';
import { openShard } from './local/open-shard.ts';
import { up } from './local/up.ts';

const USAGE = `A shard on this machine: PostgreSQL peers that replicate, and the etcd they agree through.

  npm run shard -- <command> [options]

  up                          starts it and stays; Ctrl-C stops it, and a second up goes on
  status                      the peers, their positions, what is wrong; exit code 1 if anything is
  history                     every change of roles, checked; exit code 1 if one was impossible
  psql [-- ARGUMENTS]         psql on the primary
  backup                      what there is to restore from
  switchover [PEER]           the sync becomes primary
  freeze, unfreeze            roles stay as they are, whatever dies
  rebuild PEER                a new base backup
  force-takeover PEER         of a frozen shard that has lost primary and sync
  state-repair                when etcd has lost the state, or has an old one
  kill PEER [WHAT]            WHAT: postmaster, container (default), node
  start PEER                  brings a killed node back
  pause, resume PEER [WHAT]   WHAT: whole (default), server, sitter

  --dir <directory>           where it is kept (./.shard)
  --peers 1|3|5               of a new shard (3)
  --etcd 1|3                  members of etcd of a new shard (3)
  --namespaces                a new shard with a network of its own; root only
  --backup <directory>        up: base backups and the WAL archive go there
  --restore <directory>       up: a new shard made of the backups there...
  --until <time>              ...as of this moment (2026-01-31T12:00:00Z), or of their end
  --reason <text>             of a freeze
  --max-lag <bytes>           for a switchover
  --accept-data-loss          for force-takeover and state-repair
`;

const options = {
  dir: { type: 'string', default: '.shard' },
  peers: { type: 'string', default: '3' },
  etcd: { type: 'string', default: '3' },
  namespaces: { type: 'boolean', default: false },
  backup: { type: 'string' },
  restore: { type: 'string' },
  until: { type: 'string' },
  reason: { type: 'string' },
  'max-lag': { type: 'string' },
  'accept-data-loss': { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

async function main(): Promise<void> {
  const { values, positionals } = parse();
  const [name, ...operands] = positionals;
  if (values.help || name === undefined) return void process.stdout.write(USAGE);
  const at = (path: string) => resolve(process.env.INIT_CWD ?? process.cwd(), path);
  const dir = at(values.dir);
  const deps = { logger: pino({ level: name === 'up' ? 'warn' : 'silent' }), clock: systemClock };
  if (name === 'up') {
    const shard = await up(
      { ...deps, print: text => process.stdout.write(text) },
      {
        dir,
        peers: oneOf('peers', values.peers, [1, 3, 5]),
        etcdMembers: oneOf('etcd', values.etcd, [1, 3]),
        hosts: values.namespaces ? 'namespaces' : 'loopback',
        ...(values.backup === undefined ? {} : { backup: at(values.backup) }),
        ...restoreOf(values.restore === undefined ? undefined : at(values.restore), values.until),
        suffix: values.dir === options.dir.default ? '' : ` --dir ${values.dir}`,
      },
    );
    return stopOnCtrlC(() => shard.stop());
  }
  const command = commands[name];
  if (command === undefined) throw new MantaError('Usage', `no command is called ${name}`);
  const [least, most] = command.operands;
  if (operands.length < least || operands.length > most) throw new MantaError('Usage', `${name}: see below`);
  const shard = await openShard(deps, dir);
  try {
    const { 'max-lag': maxLag, 'accept-data-loss': acceptDataLoss, reason } = values;
    const { text, isProblem } = await command.run(shard, operands, { reason, maxLag, acceptDataLoss });
    process.stdout.write(text);
    process.exitCode = isProblem ? 1 : 0;
  } finally {
    await shard.close();
  }
}

function restoreOf(from: string | undefined, until: string | undefined) {
  if (from === undefined && until !== undefined) throw new MantaError('Usage', '--until goes with --restore');
  if (from === undefined) return {};
  if (until !== undefined) parseTime(until);
  return { restore: { from, ...(until === undefined ? {} : { until }) } };
}

/** npm hands a terminal's Ctrl-C on to its child, which got it already: what comes within half a second is one. */
function stopOnCtrlC(stop: () => Promise<void>): void {
  let first: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (first === undefined) stop().then(() => process.exit(0), fail);
      else if (performance.now() - first > 500) process.exit(130);
      first ??= performance.now();
    });
  }
}

function parse() {
  try {
    return parseArgs({ allowPositionals: true, options });
  } catch (cause) {
    throw new MantaError('Usage', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function oneOf<N extends number>(name: string, text: string, allowed: readonly N[]): N {
  const found = allowed.find(number => String(number) === text);
  if (found === undefined) throw new MantaError('Usage', `--${name} is one of ${allowed.join(', ')}`);
  return found;
}

function fail(error: unknown): void {
  if (error instanceof MantaError) process.stderr.write(`Error: ${error.message}\n`);
  else console.error(error);
  const isUsage = error instanceof MantaError && error.code === 'Usage';
  if (isUsage) process.stderr.write(`\n${USAGE}`);
  process.exitCode = isUsage ? 2 : 1;
}

await main().catch(fail);
