import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ProcessInfo, signalProcess, treeOf } from '../../images/postgres/local/process-tree.ts';
import { chooseAccount, giveTo } from '../../lib/postgres-process/account.ts';
import { type NodeConfig, patroniConfig } from './patroni-config.ts';
import type { PatroniProgram } from './patroni-install.ts';

/** One node: Patroni and the PostgreSQL it runs, in a process namespace that ends with this process, however that ends. */
export class PatroniNode {
  readonly config: NodeConfig;
  readonly #program: PatroniProgram;
  #child: { readonly process: ChildProcess; readonly exited: Promise<void> } | undefined;

  constructor(program: PatroniProgram, config: NodeConfig) {
    this.#program = program;
    this.config = config;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  start(): void {
    if (this.#child !== undefined) return;
    const { dir, bin } = this.config;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const file = join(dir, 'patroni.yml');
    writeFileSync(file, patroniConfig(this.config), { mode: 0o600 });
    const account = chooseAccount([file, join(bin, 'postgres'), this.#program.path]);
    giveTo(account, dir);
    giveTo(account, file);
    const [program = '', ...args] = [
      ...['setpriv', '--pdeathsig', 'KILL', '--', 'unshare', '--pid', '--fork', '--kill-child', '--mount-proc'],
      // Without root the namespace of processes needs one of users around it.
      ...(process.getuid?.() === 0 ? [] : ['--user', '--map-current-user']),
      // Last before Patroni: a change of user would drop the wish to die with one's parent.
      ...[...account.wrapper, ...asUser(account), 'setpriv', '--pdeathsig', 'KILL', '--', this.#program.path, file],
    ];
    const log = openSync(join(dir, 'patroni.log'), 'a', 0o600);
    const child = spawn(program, args, { cwd: '/', detached: true, stdio: ['ignore', log, log] });
    closeSync(log);
    const exited = new Promise<void>(resolve => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    this.#child = { process: child, exited };
  }

  /** SIGKILL of everything on the node at once: the namespace's first process ends, and the kernel ends all others. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const [, first] = this.#processes();
    if (first !== undefined) signalProcess(first.pid, 'SIGKILL');
    this.#child = undefined;
    child.process.kill('SIGKILL');
    await child.exited;
  }

  /** The process id of the server itself. Throws where there is none. */
  postmaster(): number {
    const server = this.#processes().find(({ command }) => command.startsWith(join(this.config.bin, 'postgres ')));
    if (server === undefined) throw new Error(`${this.config.name} has no PostgreSQL`);
    return server.pid;
  }

  /** The namespace's maker first, then its first process, and so on. */
  #processes(): readonly ProcessInfo[] {
    const pid = this.#child?.process.pid;
    return pid === undefined ? [] : treeOf(pid);
  }

  /** Patroni's HTTP interface. Rejects where it does not answer. */
  async ask(path: string, body?: unknown, withinMs = 2_000): Promise<{ status: number; text: string }> {
    const response = await fetch(`http://127.0.0.1:${this.config.apiPort}${path}`, {
      signal: AbortSignal.timeout(withinMs),
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    });
    return { status: response.status, text: await response.text() };
  }

  /** The last lines of its log, for a failure's message. */
  logTail(): string {
    return readFileSync(join(this.config.dir, 'patroni.log'), 'utf8').trim().split('\n').slice(-8).join('\n');
  }
}

function asUser({ uid, gid, wrapper }: ReturnType<typeof chooseAccount>): string[] {
  if (wrapper.length > 0 || uid === undefined || gid === undefined) return [];
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--'];
}
