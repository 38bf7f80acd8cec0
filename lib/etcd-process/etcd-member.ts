import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MantaError } from '../errors/manta-error.ts';
import { createServerProcess, type ServerProcess } from '../lifecycle/server-process.ts';

/**
 * One etcd process and its directory. It is ready when it serves clients; a member of three then knows a leader. A start
 * that fails throws MantaError `EtcdStart`. Everything but `start` and `restore` leaves the data alone.
 */
export interface EtcdMember extends ServerProcess {
  readonly name: string;
  /** `http://host:port` for clients. */
  readonly endpoint: string;
  /** Copies the data of a stopped member to a new directory. Throws MantaError `EtcdRunning` while it runs. */
  snapshot(to: string): void;
  /** Puts such a copy in place of a stopped member's data, as an operator restores an old backup. */
  restore(from: string): void;
}

export interface EtcdMemberConfig {
  readonly name: string;
  readonly endpoint: string;
  /** For `data/` and `etcd.log`; the log of the run before stays as `etcd.log.1`. */
  readonly dir: string;
  readonly program: string;
  /** Without `--data-dir`. */
  readonly args: readonly string[];
  /** Put before the program: `ip netns exec NAME`. It must `exec`, so that the process id stays. */
  readonly commandPrefix: readonly string[];
}

const START_WITHIN_MS = 30_000;

/** Does not start it. */
export function createEtcdMember(config: EtcdMemberConfig): EtcdMember {
  const dataDir = join(config.dir, 'data');
  const logFile = join(config.dir, 'etcd.log');
  const server = createServerProcess({
    name: `etcd ${config.name}`,
    command: [config.program, ...config.args, '--data-dir', dataDir],
    commandPrefix: config.commandPrefix,
    logFile,
    isReady: () => readFileSync(logFile, 'utf8').includes('"ready to serve client requests"'),
    startWithinMs: START_WITHIN_MS,
    failureCode: 'EtcdStart',
  });

  function demandStopped(): void {
    if (server.pid !== undefined) throw new MantaError('EtcdRunning', `etcd ${config.name} runs: stop it first`);
  }

  return {
    name: config.name,
    endpoint: config.endpoint,
    logFile,
    get pid() {
      return server.pid;
    },
    start: server.start,
    stop: server.stop,
    kill: server.kill,
    pause: server.pause,
    resume: server.resume,
    restart: server.restart,
    snapshot(to) {
      demandStopped();
      cpSync(dataDir, to, { recursive: true, errorOnExist: true, force: false });
    },
    restore(from) {
      demandStopped();
      rmSync(dataDir, { recursive: true, force: true });
      cpSync(from, dataDir, { recursive: true });
    },
  };
}
