import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MantaError } from '../errors/manta-error.ts';

/**
 * Ends whatever PostgreSQL still runs on a data directory after its supervisor was killed: a fast shutdown of the
 * server, then, for those that do not go, SIGKILL. Only processes that work in this very directory are touched, so a
 * reused process id harms nobody. Removes a pid file that names somebody else. Resolves with the number of processes
 * found; throws MantaError `PostgresLeftover` when one cannot be ended.
 */
export async function stopLeftovers(dataDir: string): Promise<number> {
  const recorded = recordedPid(dataDir);
  const found = processesIn(dataDir, recorded);
  if (recorded !== undefined && !found.includes(recorded)) rmSync(join(dataDir, 'postmaster.pid'), { force: true });
  if (found.length === 0) return 0;
  if (recorded !== undefined && found.includes(recorded)) signal(recorded, 'SIGINT');
  if (await goneWithin(dataDir, recorded, 15_000)) return found.length;
  for (const pid of processesIn(dataDir, recorded)) signal(pid, 'SIGKILL');
  if (await goneWithin(dataDir, recorded, 5_000)) return found.length;
  throw new MantaError(
    'PostgresLeftover',
    `processes ${processesIn(dataDir, recorded).join(', ')} still use ${dataDir}`,
  );
}

/** The process id in `postmaster.pid`. */
export function recordedPid(dataDir: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]);
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** PostgreSQL works in its data directory; on Linux that finds backends whose server has died, too. */
function processesIn(dataDir: string, recorded: number | undefined): number[] {
  if (process.platform !== 'linux') return recorded !== undefined && runsOn(recorded, dataDir) ? [recorded] : [];
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => {
      try {
        return (
          readlinkSync(`/proc/${pid}/cwd`) === dataDir && /postgres/.test(readFileSync(`/proc/${pid}/comm`, 'utf8'))
        );
      } catch {
        return false;
      }
    });
}

function runsOn(pid: number, dataDir: string): boolean {
  try {
    return execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).includes(`-D ${dataDir}`);
  } catch {
    return false;
  }
}

async function goneWithin(dataDir: string, recorded: number | undefined, withinMs: number): Promise<boolean> {
  const until = performance.now() + withinMs;
  while (processesIn(dataDir, recorded).length > 0) {
    if (performance.now() > until) return false;
    await sleep(20);
  }
  return true;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has just ended.
  }
}
