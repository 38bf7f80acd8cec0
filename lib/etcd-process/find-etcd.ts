import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import type { Logger } from 'pino';
import { codeOf, MantaError } from '../errors/manta-error.ts';
import { findGoProgram, type GoProgram } from '../go-program/go-program.ts';

const run = promisify(execFile);

/** What is built where none is installed. */
export const ETCD = {
  name: 'etcd',
  version: '3.6.16',
  module: 'go.etcd.io/etcd/server/v3',
  packages: { etcd: 'go.etcd.io/etcd/server/v3' },
} as const satisfies GoProgram;

/**
 * The path of an etcd of version 3.5 or newer: one on PATH, else the one of an earlier build, else one built now from
 * etcd's Go module, which takes two or three minutes, once, and is kept in `${XDG_CACHE_HOME:-~/.cache}/manta/`. Throws
 * MantaError `EtcdMissing`, which says what to do.
 */
export async function findEtcd(deps: { logger: Logger }, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  for (const directory of (env.PATH ?? '').split(delimiter)) {
    const path = join(directory, 'etcd');
    if (directory !== '' && existsSync(path) && (await isRecent(path))) return path;
  }
  try {
    const { etcd } = await findGoProgram(deps, ETCD, { env });
    return etcd;
  } catch (cause) {
    if (codeOf(cause) !== 'GoProgramMissing') throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MantaError(
      'EtcdMissing',
      `there is no etcd 3.5 or newer on PATH: install etcd, or Go to build it (${why})`,
      {
        cause,
      },
    );
  }
}

async function isRecent(path: string): Promise<boolean> {
  try {
    const { stdout } = await run(path, ['--version'], { timeout: 10_000 });
    const [, major, minor] = /etcd Version: (\d+)\.(\d+)/.exec(stdout) ?? [];
    return Number(major) > 3 || (Number(major) === 3 && Number(minor) >= 5);
  } catch {
    return false;
  }
}
