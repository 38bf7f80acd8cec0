import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Logger } from 'pino';
import { MantaError } from '../errors/manta-error.ts';
import { endsWithParent } from '../lifecycle/ends-with-parent.ts';
import type { GoProgram } from './go-program.ts';

/** What bounds a build, and what it runs in. */
export interface BuildOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly withinMs: number;
  readonly signal: AbortSignal | undefined;
}

const TELL_EVERY_MS = 15_000;
const TEMPORARY = 'tmp';

/**
 * Builds into a directory beside `home`, and gives it that name at the end. The caller holds the lock of `home`: what
 * earlier builds left unfinished is removed. Throws MantaError `GoProgramMissing`, or what the signal was aborted with.
 */
export async function buildGoProgram(
  deps: { readonly logger: Logger },
  program: GoProgram,
  home: string,
  options: BuildOptions,
): Promise<void> {
  const unfinished = `${home}.unfinished-`;
  for (const name of readdirSync(dirname(home)).filter(found => found.startsWith(basename(unfinished))))
    rmSync(join(dirname(home), name), { recursive: true, force: true });
  const place = mkdtempSync(unfinished);
  const begun = performance.now();
  const log = deps.logger.child({ program: program.name, version: program.version });
  const deadline = AbortSignal.timeout(options.withinMs);
  const signal = AbortSignal.any([deadline, ...(options.signal === undefined ? [] : [options.signal])]);
  const go = createGo(place, environmentOf(program, place, options.env), signal, log);
  try {
    log.info({ home }, 'building a Go program, once: large ones take minutes');
    await describeModule(go, program, place);
    const args = ['build', '-v', '-mod=mod', '-trimpath', '-buildvcs=false', ...flagsOf(program)];
    for (const [file, from] of Object.entries(program.packages)) await go([...args, '-o', join(place, file), from]);
    rmSync(join(place, TEMPORARY), { recursive: true, force: true });
    rmSync(home, { recursive: true, force: true });
    renameSync(place, home);
    log.info({ seconds: secondsSince(begun) }, 'built a Go program');
  } catch (cause) {
    options.signal?.throwIfAborted();
    const why = deadline.aborted ? `it took longer than ${options.withinMs / 1_000} s` : messageOf(cause);
    throw new MantaError('GoProgramMissing', whatToDo(program, home, why), { cause });
  } finally {
    // A compiler that was on its way when its `go` was killed may still be writing.
    rmSync(place, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** Its temporary files go where the next build removes them: a `go` that is killed leaves gigabytes. */
function environmentOf(program: GoProgram, place: string, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const temporary = join(place, TEMPORARY);
  mkdirSync(temporary);
  return { ...env, GOTMPDIR: temporary, GOWORK: 'off', CGO_ENABLED: program.cgo === undefined ? '0' : '1' };
}

/** Runs `go` with arguments and resolves with what it printed. */
type Go = (args: readonly string[]) => Promise<string>;

/** Go's own versions of everything the module needs are in its `go.mod`; one that requires it alone selects the same. */
async function describeModule(go: Go, program: GoProgram, place: string): Promise<void> {
  const { module, version, foldersVersion } = program;
  const { GoMod } = JSON.parse(await go(['mod', 'download', '-json', `${module}@v${version}`])) as { GoMod: string };
  const its = JSON.parse(await go(['mod', 'edit', '-json', GoMod])) as {
    Go?: string;
    Replace?: readonly { Old: { Path: string }; New: { Path: string } }[] | null;
  };
  const folders = (its.Replace ?? []).filter(({ New }) => New.Path.startsWith('./')).map(({ Old }) => Old.Path);
  const lines = [
    `module manta/${program.name}`,
    // At least the module's own: Go fetches the tool chain of that version where it may.
    ...(its.Go === undefined ? [] : [`go ${its.Go}`]),
    `require ${module} v${version}`,
    ...(foldersVersion === undefined ? [] : folders.map(path => `replace ${path} => ${path} v${foldersVersion}`)),
  ];
  writeFileSync(join(place, 'go.mod'), `${lines.join('\n')}\n`);
  for (const [name, text] of Object.entries(program.sources ?? {})) {
    mkdirSync(dirname(join(place, name)), { recursive: true });
    writeFileSync(join(place, name), text);
  }
}

function flagsOf({ stamps, tags, cgo }: GoProgram): string[] {
  const values = Object.entries(stamps ?? {}).map(([name, value]) => `-X '${name}=${value}'`);
  const link = ['-s -w', ...values, ...(cgo === undefined ? [] : ['-extldflags -static'])].join(' ');
  return [`-ldflags=${link}`, ...(tags === undefined ? [] : [`-tags=${tags.join(',')}`])];
}

function createGo(cwd: string, env: NodeJS.ProcessEnv, signal: AbortSignal, log: Logger): Go {
  return args =>
    new Promise((resolve, reject) => {
      const [command = '', ...rest] = [...endsWithParent(), 'go', ...args];
      const child = spawn(command, rest, {
        cwd,
        env,
        signal,
        killSignal: 'SIGKILL',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const said: string[] = [];
      const seen = { downloads: 0, packages: 0 };
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
      createInterface(child.stderr).on('line', line => {
        if (line.startsWith('go: downloading ')) seen.downloads += 1;
        else if (/^[\w.~/-]+$/.test(line)) seen.packages += 1;
        else said.splice(0, said.length, ...said.slice(-5), line);
      });
      const begun = performance.now();
      const telling = setInterval(() => {
        log.info({ seconds: secondsSince(begun), ...seen }, 'still building a Go program');
      }, TELL_EVERY_MS);
      child.once('error', error => said.push(messageOf(error)));
      child.once('close', code => {
        clearInterval(telling);
        if (code === 0) resolve(output);
        // `go mod download -json` tells its failures in what it prints.
        else reject(new Error([...said, ...(/"Error": "(.*)"/.exec(output)?.slice(1) ?? [])].join('; ')));
      });
    });
}

function whatToDo(program: GoProgram, home: string, why: string): string {
  const what = `${program.name} ${program.version} is not in ${home} and could not be built`;
  const packages = program.cgo === undefined ? '' : `, ${program.cgo.needs}`;
  return `${what}: install a recent Go${packages}, and see that it reaches its modules, as go env GOPROXY says (${why})`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function secondsSince(begun: number): number {
  return Math.round((performance.now() - begun) / 1_000);
}
