import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { RequestKind } from '../../../lib/shard/records.ts';
import { listBackups } from './backup-list.ts';
import { keepPasswords } from './layout.ts';
import type { OpenShard } from './open-shard.ts';
import { type Part, signalPart } from './peer-parts.ts';
import { printHistory, printStatus } from './print.ts';
import { signalProcess } from './process-tree.ts';
import { chooseRepair } from './repair-choice.ts';

/** What a command printed, and whether it found a problem. */
export interface CommandResult {
  readonly text: string;
  readonly isProblem: boolean;
}

export interface CommandOptions {
  readonly reason?: string | undefined;
  readonly maxLag?: string | undefined;
  readonly acceptDataLoss: boolean;
}

type Command = (shard: OpenShard, operands: readonly string[], options: CommandOptions) => Promise<CommandResult>;

/** The commands on a running shard, by name; `operands` says how many each takes. */
export const commands: Readonly<
  Record<string, { readonly operands: readonly [number, number]; readonly run: Command }>
> = {
  status: {
    operands: [0, 0],
    run: async shard => {
      const status = await shard.status();
      return { text: printStatus(status), isProblem: status.problems.length > 0 };
    },
  },
  history: {
    operands: [0, 0],
    run: async shard => {
      const { text, broken } = printHistory(await shard.client.history());
      return { text, isProblem: broken > 0 };
    },
  },
  switchover: {
    operands: [0, 1],
    run: (shard, [peer], { maxLag }) =>
      ask(shard, 'switchover', {
        ...(peer === undefined ? {} : { peer }),
        ...(maxLag === undefined ? {} : { maxLagBytes: Number(maxLag) }),
      }),
  },
  freeze: { operands: [0, 0], run: (shard, _, { reason }) => freeze(shard, reason ?? 'by hand') },
  unfreeze: { operands: [0, 0], run: shard => freeze(shard, undefined) },
  psql: { operands: [0, 50], run: psql },
  backup: { operands: [0, 0], run: listBackups },
  rebuild: { operands: [1, 1], run: (shard, [peer]) => ask(shard, 'rebuild', { peer }) },
  'force-takeover': {
    operands: [1, 1],
    run: (shard, [peer], { acceptDataLoss }) => {
      if (!acceptDataLoss) {
        throw new MantaError('Usage', 'what only the primary and the sync have is lost: add --accept-data-loss');
      }
      return ask(shard, 'force-takeover', { peer, acceptDataLoss });
    },
  },
  'state-repair': { operands: [0, 0], run: (shard, _, { acceptDataLoss }) => repair(shard, acceptDataLoss) },
  kill: { operands: [1, 2], run: async (shard, [peer = '', what]) => kill(shard, peer, what ?? 'container') },
  start: {
    operands: [1, 1],
    run: async (shard, [peer = '']) => {
      rmSync(shard.downFile(peer), { force: true });
      return fine(`${peer} is started.`);
    },
  },
  pause: { operands: [1, 2], run: async (shard, [peer = '', what]) => hold(shard, peer, what ?? 'whole', 'SIGSTOP') },
  resume: { operands: [1, 2], run: async (shard, [peer = '', what]) => hold(shard, peer, what ?? 'whole', 'SIGCONT') },
};

async function ask(
  shard: OpenShard,
  kind: RequestKind,
  args: Readonly<Record<string, unknown>>,
): Promise<CommandResult> {
  const { outcome, message } = await shard.client.request(kind, args);
  return { text: `${outcome}: ${message}\n`, isProblem: outcome !== 'Done' };
}

async function freeze(shard: OpenShard, reason: string | undefined): Promise<CommandResult> {
  const wish =
    reason === undefined ? {} : { freeze: { at: new Date().toISOString(), by: userInfo().username, reason } };
  await shard.client.configure(({ freeze: _, ...config }) => ({ ...config, ...wish }));
  return fine(
    reason === undefined ? 'Roles change by themselves again.' : 'Frozen: roles stay as they are, whatever dies.',
  );
}

/** psql on the primary, wherever it is now, as the role that owns a new shard's database. */
async function psql(shard: OpenShard, operands: readonly string[]): Promise<CommandResult> {
  const primary = (await shard.client.read()).state?.value.primary;
  if (primary === undefined) throw new MantaError('StateMissing', 'the shard has no valid state, hence no primary');
  const { hostname, port } = new URL(primary.pgUrl);
  const connection = [
    '--host',
    hostname,
    '--port',
    port,
    '--username',
    'manta_migrate',
    '--dbname',
    shard.layout.databases[0] ?? 'postgres',
  ];
  const PGPASSWORD = keepPasswords(shard.dir).manta_migrate;
  const env = { ...process.env, ...(PGPASSWORD === undefined ? {} : { PGPASSWORD }) };
  const { error, status } = spawnSync('psql', [...connection, ...operands], { stdio: 'inherit', env });
  if (error !== undefined) throw new MantaError('PsqlMissing', `psql cannot be run: ${error.message}`);
  return { text: '', isProblem: status !== 0 };
}

async function repair(shard: OpenShard, acceptDataLoss: boolean): Promise<CommandResult> {
  const { peers } = await shard.client.read();
  const records = Object.values(peers).map(({ value }) => value);
  const choice = chooseRepair(
    records,
    shard.layout.peers.map(({ id }) => id),
    acceptDataLoss,
  );
  return ask(shard, 'state-repair', { ...choice, ...(acceptDataLoss ? { acceptDataLoss } : {}) });
}

/** A postmaster's death leaves the sitter; a container comes back after a second; a node stays away until `start`. */
function kill(shard: OpenShard, id: string, what: string): CommandResult {
  const { init, postmaster } = shard.parts(id);
  const victims: Record<string, number | undefined> = { postmaster, container: init, node: init };
  if (!(what in victims)) throw new MantaError('Usage', 'kill PEER postmaster, container or node');
  if (what === 'node') writeFileSync(shard.downFile(id), '');
  const pid = victims[what];
  if (pid === undefined || !signalProcess(pid, 'SIGKILL')) {
    return { text: `${id} has no ${what === 'postmaster' ? 'PostgreSQL' : 'process'} that runs.\n`, isProblem: true };
  }
  return fine(`Killed the ${what} of ${id}.${what === 'node' ? ` It stays down until "start ${id}".` : ''}`);
}

function hold(shard: OpenShard, id: string, what: string, signal: 'SIGSTOP' | 'SIGCONT'): CommandResult {
  if (!['whole', 'server', 'sitter'].includes(what))
    throw new MantaError('Usage', 'pause PEER whole, server or sitter');
  const parts = shard.parts(id);
  signalPart(parts, what as Part, signal);
  return { text: `${parts.all.length === 0 ? `${id} does not run.` : 'Done.'}\n`, isProblem: parts.all.length === 0 };
}

function fine(text: string): CommandResult {
  return { text: `${text}\n`, isProblem: false };
}
