import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Logger } from 'pino';
import { Client } from 'undici';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { stateFiles, turnOverFile } from './nginx-config.ts';
import { logNginxLine } from './nginx-log.ts';

const run = promisify(execFile);

/** How long nginx may take to check a configuration, or to put it in force. */
const IN_FORCE_WITHIN_MS = 10_000;
/** Between two looks at which configuration is in force. */
const LOOK_EVERY_MS = 10;

export interface NginxConfig {
  /** The program, by path or as found on PATH. */
  readonly binary: string;
  readonly stateDir: string;
  /** Milliseconds for which answers close their connection before idle ones are closed. */
  readonly turnOverMs: number;
}

/** nginx as a child process. Calls of one instance do not overlap. */
export interface Nginx {
  /**
   * Puts a configuration in force: starts nginx with it or reloads, and resolves when new connections meet it. Requests go
   * on, and before idle connections are closed answers have asked busy clients to come on new ones, so that no request
   * meets a closed connection. `configuration` is called once, at the last moment. Throws MantaError
   * `CertificateRefused` or `NginxConfigRefused` when nginx does not accept it, `NginxFailed` when it does not come into
   * force; what was in force before then still is.
   */
  apply(configuration: (generation: string) => string): Promise<void>;
  isRunning(): boolean;
  /** Client connections that are open; undefined while nginx does not run. */
  connections(): Promise<number | undefined>;
  /** From now on answers close their connection: to be called some time before `stop`. */
  turnOver(): Promise<void>;
  /** Stops accepting, lets running requests end within `drainMs`, then cuts them off. */
  stop(drainMs: number): Promise<void>;
  /** Resolves when nginx ends without `stop`. */
  readonly died: Promise<string>;
}

/** Clears what an earlier process has left in `stateDir`, which must exist. */
export function createNginx(
  deps: { readonly logger: Logger; readonly clock: Clock },
  { binary, stateDir, turnOverMs }: NginxConfig,
): Nginx {
  const { logger, clock } = deps;
  const files = stateFiles(stateDir);
  const { promise: died, resolve: die } = Promise.withResolvers<string>();
  let child: ChildProcess | undefined;
  let ended: Promise<unknown> | undefined;
  let isStopping = false;
  let generations = 0;
  let inForce: string | undefined;
  let retired: string | undefined;

  async function start(): Promise<void> {
    // Of its own process group: a terminal's interrupt is for the program, which ends nginx in order.
    const started = spawn(binary, argumentsFor(stateDir, files.config), {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    child = started;
    ended = new Promise<string>(resolve => {
      started.once('error', error => resolve(error.message));
      started.once('exit', (code, signal) => resolve(`ended with ${signal ?? `code ${code}`}`));
    }).then(how => {
      child = undefined;
      if (!isStopping) die(how);
    });
    logger.info({ master: started.pid }, 'nginx started');
    createInterface({ input: started.stderr }).on('line', line => logNginxLine(logger, line));
  }

  async function write(text: string): Promise<void> {
    await writeFile(files.candidate, text, { mode: 0o600 });
    try {
      await run(binary, [...argumentsFor(stateDir, files.candidate), '-t', '-q'], { timeout: IN_FORCE_WITHIN_MS });
    } catch (cause) {
      const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr) : '';
      const [, why = String(cause)] = /\[emerg\] \d+#\d+: (.*)/.exec(said) ?? [];
      throw new MantaError(/certificate|SSL_CTX/.test(why) ? 'CertificateRefused' : 'NginxConfigRefused', why, {
        cause,
      });
    }
    await rename(files.candidate, files.config);
  }

  /** Old workers accept until they are told to end, so that the first answers may still be theirs. */
  async function waitFor(generation: string): Promise<void> {
    const until = clock.monotonic() + IN_FORCE_WITHIN_MS;
    while ((await askStatus(files.status, '/generation')) !== generation) {
      if (child === undefined) throw new MantaError('NginxFailed', 'nginx ended: its log says why');
      if (clock.monotonic() > until) throw new MantaError('NginxFailed', 'nginx did not take its new configuration');
      await sleep(LOOK_EVERY_MS);
    }
  }

  return {
    died,
    isRunning: () => child !== undefined && !isStopping,
    async apply(configuration) {
      generations += 1;
      const generation = `g${generations}`;
      if (child === undefined) {
        await clearState(stateDir);
        await write(configuration(generation));
        inForce = generation;
        await start();
        await waitFor(generation);
        return;
      }
      const before = inForce ?? generation;
      if (retired !== undefined) await rm(retired, { force: true });
      // Old workers look for it until they are told to end, which is some time after new ones have begun.
      retired = turnOverFile(stateDir, before);
      await writeFile(retired, '');
      try {
        await sleep(turnOverMs);
        await write(configuration(generation));
        inForce = generation;
        child?.kill('SIGHUP');
        await waitFor(generation);
      } catch (error) {
        inForce = before;
        await rm(retired, { force: true });
        throw error;
      }
    },
    async connections() {
      const text = await askStatus(files.status, '/connections');
      const [, active] = /^Active connections: (\d+)/.exec(text ?? '') ?? [];
      // The one that asks is none of a client's.
      return active === undefined ? undefined : Math.max(0, Number(active) - 1);
    },
    async turnOver() {
      isStopping = true;
      if (inForce !== undefined) await writeFile(turnOverFile(stateDir, inForce), '');
    },
    async stop(drainMs) {
      isStopping = true;
      if (child === undefined) return;
      child.kill('SIGQUIT');
      const patience = new AbortController();
      const { signal } = patience;
      const cut = sleep(drainMs, undefined, { signal })
        .then(() => child?.kill('SIGTERM'))
        .then(() => sleep(2_000, undefined, { signal }))
        .then(() => killGroup(child))
        .catch(() => {});
      await ended;
      patience.abort();
      await cut;
    },
  };
}

function argumentsFor(stateDir: string, file: string): string[] {
  return ['-e', 'stderr', '-p', stateDir, '-c', file];
}

/** The master ends its workers itself; one that does not is past asking. */
function killGroup(child: ChildProcess | undefined): void {
  if (child?.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended in the meantime.
  }
}

async function clearState(stateDir: string): Promise<void> {
  const files = stateFiles(stateDir);
  const turnOvers = (await readdir(stateDir)).filter(name => name.startsWith('turn-over-'));
  for (const file of [files.status, files.pid, ...turnOvers.map(name => join(stateDir, name))]) {
    await rm(file, { force: true });
  }
  await mkdir(files.temporary, { recursive: true });
}

/** A page of the status socket, asked for on a connection of its own; undefined while there is no answer. */
async function askStatus(socketPath: string, path: string): Promise<string | undefined> {
  const client = new Client('http://status', { socketPath, headersTimeout: 1_000, connectTimeout: 1_000 });
  try {
    const { body } = await client.request({ method: 'GET', path, reset: true });
    return await body.text();
  } catch {
    return undefined;
  } finally {
    await client.destroy();
  }
}
