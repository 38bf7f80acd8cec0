import { createHash } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { MantaError } from '../errors/manta-error.ts';
import { buildGoProgram } from './build.ts';
import { lockBuild } from './build-lock.ts';

/** Programs that are built together from one version of one Go module. */
export interface GoProgram<File extends string = string> {
  /** Names the directory in the cache; for people. */
  readonly name: string;
  /** Of the module, without its `v`. */
  readonly version: string;
  readonly module: string;
  /** What each program is to be called, and the package that it is built from: `.` for the one in `sources`. */
  readonly packages: Readonly<Record<File, string>>;
  /** Values of string variables by their full name, without quotes: the linker’s `-X`. */
  readonly stamps?: Readonly<Record<string, string>>;
  readonly tags?: readonly string[];
  /** A package of our own beside the module: file name → text. */
  readonly sources?: Readonly<Record<string, string>>;
  /**
   * For a module whose repository holds others: the version, without `v`, at which those are published. Its own `go.mod`
   * replaces them with folders that the published module lacks.
   */
  readonly foldersVersion?: string;
  /** Links C code, statically. `needs` tells what has to be installed for that. Without: no C compiler is needed. */
  readonly cgo?: { readonly needs: string };
}

/** Where to look and how long to wait. */
export interface FindOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
  /** Milliseconds that one build may take; half an hour unless told. */
  readonly buildWithinMs?: number;
}

/** Several times what the largest one takes on two cores, from empty caches: machines are shared. */
const BUILD_WITHIN_MS = 30 * 60_000;

/**
 * The paths of programs in `${XDG_CACHE_HOME:-~/.cache}/manta/`. What is not there is built first, with progress logged,
 * and is kept: minutes for a large one, once. Processes that look for the same at the same time build it once. It appears
 * under its name when it is complete, so that a build that failed or was killed leaves nothing that counts. A changed recipe
 * is another place. Aborting ends a build that this call has begun, and rejects with the signal's reason.
 * Throws MantaError `GoProgramMissing`, which says what to do.
 */
export async function findGoProgram<File extends string>(
  deps: { readonly logger: Logger },
  program: GoProgram<File>,
  options: FindOptions = {},
): Promise<Readonly<Record<File, string>>> {
  const env = options.env ?? process.env;
  const withinMs = options.buildWithinMs ?? BUILD_WITHIN_MS;
  const home = homeOf(program, env);
  const files = Object.keys(program.packages) as File[];
  const isThere = () => files.every(file => existsSync(join(home, file)));
  if (!isThere()) {
    mkdirSync(join(home, '..'), { recursive: true });
    const lock = await lockBuild(home, deps, { withinMs: 2 * withinMs, signal: options.signal });
    try {
      if (!isThere()) await buildGoProgram(deps, program, home, { env, withinMs, signal: options.signal });
    } finally {
      lock.release();
    }
    if (!isThere()) throw new MantaError('GoProgramMissing', `a build of ${program.name} left ${home} incomplete`);
  }
  return Object.fromEntries(files.map(file => [file, join(home, file)])) as Record<File, string>;
}

/** A program built from one package and nothing else said needs no more than its version to be told from others. */
function homeOf(program: GoProgram, env: NodeJS.ProcessEnv): string {
  const { name, version, module: _, packages, ...recipe } = program;
  const isPlain = Object.keys(packages).length === 1 && Object.keys(recipe).length === 0;
  const mark = createHash('sha256').update(JSON.stringify(program)).digest('hex').slice(0, 8);
  const cache = join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'manta');
  return join(cache, isPlain ? `${name}-${version}` : `${name}-${version}-${mark}`);
}
