import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import pino from 'pino';
import { eventually } from '../eventually/eventually.ts';
import { findGoProgram, type GoProgram } from './go-program.ts';

const deps = { logger: pino({ level: 'silent' }) };
const greeter = {
  name: 'greeter',
  version: '1.2.0',
  module: 'example.test/greeter',
  packages: { greeter: 'example.test/greeter/cmd/greeter' },
} as const satisfies GoProgram;

const realGo = find('go');
if (realGo === undefined) process.stderr.write('skipped, builds of Go programs: there is no Go on PATH\n');

let dir: string;
let cache: string;
let env: NodeJS.ProcessEnv;
const children: ChildProcess[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'manta-go-program-'));
  cache = join(dir, 'cache', 'manta');
  env = { ...process.env, XDG_CACHE_HOME: join(dir, 'cache'), PATH: join(dir, 'bin') };
});
afterEach(async () => {
  await Promise.all(children.splice(0).map(end));
  rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

function find(program: string): string | undefined {
  const directories = (process.env.PATH ?? '').split(delimiter);
  return directories.map(directory => join(directory, program)).find(existsSync);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** A `go` that writes down what it is asked, does `script`, and then what the real one does. */
function installGo(script = ''): void {
  mkdirSync(join(dir, 'bin'), { recursive: true });
  const lines = ['#!/bin/sh', `PATH='${process.env.PATH}'`, `echo "$1" >> '${dir}/go.log'`, script];
  writeFileSync(join(dir, 'bin', 'go'), `${[...lines, `exec '${realGo}' "$@"`].join('\n')}\n`);
  chmodSync(join(dir, 'bin', 'go'), 0o755);
}

function builds(): number {
  return readFileSync(join(dir, 'go.log'), 'utf8')
    .split('\n')
    .filter(line => line === 'build').length;
}

/** A module proxy in a directory: modules of this test and no others, whatever network there is. */
function publish(module: string, version: string, files: Readonly<Record<string, string>>): void {
  const sources = join(dir, 'sources', `${module}@${version}`);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(sources, name)), { recursive: true });
    writeFileSync(join(sources, name), text);
  }
  const proxy = join(dir, 'proxy', module, '@v');
  mkdirSync(proxy, { recursive: true });
  writeFileSync(join(proxy, `${version}.info`), JSON.stringify({ Version: version }));
  writeFileSync(join(proxy, `${version}.mod`), files['go.mod'] as string);
  const git = (...args: string[]) => execFileSync('git', args, { cwd: sources, stdio: 'ignore' });
  git('init', '--quiet');
  git('add', '.');
  const tree = execFileSync('git', ['write-tree'], { cwd: sources, encoding: 'utf8' }).trim();
  git('archive', '--format=zip', `--prefix=${module}@${version}/`, '-o', join(proxy, `${version}.zip`), tree);
  const compiled = execFileSync(realGo as string, ['env', 'GOCACHE'], { encoding: 'utf8' }).trim();
  Object.assign(env, { GOPROXY: `file://${join(dir, 'proxy')}`, GONOSUMDB: '*', GOFLAGS: '-modcacherw' });
  Object.assign(env, { GOMODCACHE: join(dir, 'modules'), GOCACHE: compiled, GOTOOLCHAIN: 'local' });
}

function publishGreeter(main = 'fmt.Println(greeting.Text + Version)'): void {
  publish('example.test/greeter', 'v1.2.0', {
    'go.mod': 'module example.test/greeter\n\ngo 1.20\n',
    'greeting/greeting.go': 'package greeting\n\nconst Text = "hello from "\n',
    'cmd/greeter/main.go': `package main

      import ("fmt"; "example.test/greeter/greeting")

      var Version = "nowhere"

      func main() { ${main} }`,
  });
}

const say = (path: string) => execFileSync(path, { encoding: 'utf8' }).trim();

/** Another process that looks for the greeter. */
function lookElsewhere(): { child: ChildProcess; printed: Promise<string> } {
  const script = `
    import pino from 'pino';
    import { findGoProgram } from '${join(import.meta.dirname, 'go-program.ts')}';
    const paths = await findGoProgram({ logger: pino({ level: 'silent' }) }, ${JSON.stringify(greeter)});
    console.log(paths.greeter);`;
  const child = spawn(process.execPath, ['--input-type=module', '--no-warnings', '-e', script], {
    cwd: import.meta.dirname,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  return { child, printed: once(child, 'close').then(() => text.trim()) };
}

const whereGoIs = realGo === undefined ? describe.skip : describe;
if (realGo === undefined) console.warn('skipped: tests that build a program, because there is no Go on the PATH');

whereGoIs('findGoProgram, building', () => {
  it('builds what is not there, once, and tells that it does', async () => {
    publishGreeter();
    installGo();
    const lines: string[] = [];
    const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
    const { greeter: path } = await findGoProgram({ logger }, greeter, { env });
    expect(path).toBe(join(cache, 'greeter-1.2.0', 'greeter'));
    expect(say(path)).toBe('hello from nowhere');
    expect(lines).toEqual(['building a Go program, once: large ones take minutes', 'built a Go program']);
    await findGoProgram({ logger }, greeter, { env });
    expect(builds()).toBe(1);
    expect(lines.length).toBe(2);
  });

  it('builds once when several processes look at the same time', async () => {
    publishGreeter();
    installGo('[ "$1" != build ] || sleep 1');
    const elsewhere = [lookElsewhere(), lookElsewhere()];
    const here = await Promise.all([findGoProgram(deps, greeter, { env }), findGoProgram(deps, greeter, { env })]);
    const paths = [
      ...here.map(found => found.greeter),
      ...(await Promise.all(elsewhere.map(({ printed }) => printed))),
    ];
    expect(new Set(paths)).toEqual(new Set([join(cache, 'greeter-1.2.0', 'greeter')]));
    expect(builds()).toBe(1);
  });

  it('does not count what a killed builder left, nor wait for it', async () => {
    publishGreeter();
    installGo(`if [ "$1" = build ]; then echo half > greeter; touch '${dir}/begun'; exec sleep 600; fi`);
    const { child } = lookElsewhere();
    await eventually(() => existsSync(join(dir, 'begun')));
    await end(child);
    expect(readdirSync(cache).some(name => name.startsWith('greeter-1.2.0.unfinished-'))).toBe(true);
    installGo();
    const { greeter: path } = await findGoProgram(deps, greeter, { env });
    expect(say(path)).toBe('hello from nowhere');
    expect(readdirSync(cache).sort()).toEqual(['greeter-1.2.0', 'greeter-1.2.0.build-lock']);
  });

  it('ends a build that is aborted or takes too long, leaves nothing, and lets the next one build', async () => {
    publishGreeter();
    installGo(`if [ "$1" = build ]; then touch '${dir}/begun'; exec sleep 600; fi`);
    const stopping = new AbortController();
    const stopped = findGoProgram(deps, greeter, { env, signal: stopping.signal });
    const waiting = findGoProgram(deps, greeter, { env, signal: stopping.signal });
    const outcomes = Promise.allSettled([stopped, waiting]);
    await eventually(() => existsSync(join(dir, 'begun')));
    stopping.abort(new Error('no longer wanted'));
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ status: 'rejected' });
    await expect(stopped).rejects.toThrow('no longer wanted');
    await expect(findGoProgram(deps, greeter, { env, buildWithinMs: 1_000 })).rejects.toMatchObject({
      code: 'GoProgramMissing',
      message: /longer than 1 s/,
    });
    expect(readdirSync(cache)).toEqual(['greeter-1.2.0.build-lock']);
    installGo();
    await findGoProgram(deps, greeter, { env });
  });

  it('puts stamps into it, and keeps what another recipe built in another place', async () => {
    publishGreeter();
    installGo();
    const stamped = { ...greeter, stamps: { 'main.Version': 'the pier, it’s us' } };
    const { greeter: plainPath } = await findGoProgram(deps, greeter, { env });
    const { greeter: path } = await findGoProgram(deps, stamped, { env });
    expect(say(path)).toBe('hello from the pier, it’s us');
    expect(say(plainPath)).toBe('hello from nowhere');
  });

  it('builds a package of our own beside the module, and several at once into one directory', async () => {
    publishGreeter();
    installGo();
    const main = 'package main\n\nimport "example.test/greeter/greeting"\n\nfunc main() { println(greeting.Text) }\n';
    const both = { ...greeter, packages: { own: '.', ...greeter.packages }, sources: { 'main.go': main } };
    const paths = await findGoProgram(deps, both, { env });
    expect(dirname(paths.own)).toBe(dirname(paths.greeter));
    expect(execFileSync('sh', ['-c', `'${paths.own}' 2>&1`], { encoding: 'utf8' })).toBe('hello from \n');
  });

  it('takes modules of the same repository at the version at which they are published', async () => {
    publish('example.test/staged', 'v0.2.0', {
      'go.mod': 'module example.test/staged\n\ngo 1.20\n',
      'staged.go': 'package staged\n\nconst Text = "published"\n',
    });
    publish('example.test/monorepo', 'v1.2.0', {
      'go.mod': `module example.test/monorepo\n\ngo 1.20\n\nrequire example.test/staged v0.0.0\n
        replace example.test/staged => ./staging/staged\n`,
      'main.go': 'package main\n\nimport "example.test/staged"\n\nfunc main() { print(staged.Text) }\n',
    });
    installGo();
    const program = {
      ...greeter,
      name: 'mono',
      module: 'example.test/monorepo',
      packages: { mono: 'example.test/monorepo' },
    };
    await expect(findGoProgram(deps, program, { env })).rejects.toMatchObject({ code: 'GoProgramMissing' });
    const { mono } = await findGoProgram(deps, { ...program, foldersVersion: '0.2.0' }, { env });
    expect(execFileSync('sh', ['-c', `'${mono}' 2>&1`], { encoding: 'utf8' })).toBe('published');
  });

  it('says what failed: a version that does not exist, a program that does not compile', async () => {
    publishGreeter('return 1');
    installGo();
    await expect(findGoProgram(deps, { ...greeter, version: '9.0.0' }, { env })).rejects.toMatchObject({
      code: 'GoProgramMissing',
      message: /greeter 9\.0\.0 .* install a recent Go, .*v9\.0\.0/,
    });
    await expect(findGoProgram(deps, greeter, { env })).rejects.toThrow(/too many return values/);
    expect(readdirSync(cache).filter(name => !name.endsWith('.build-lock'))).toEqual([]);
  });
});

describe('findGoProgram, where there is no Go', () => {
  const program = { ...greeter, cgo: { needs: 'gcc and libgreet-dev' } };

  it('says what to install, once and again', async () => {
    for (let tries = 0; tries < 2; tries += 1)
      await expect(findGoProgram(deps, program, { env })).rejects.toMatchObject({
        code: 'GoProgramMissing',
        message: /greeter 1\.2\.0 is not in .*: install a recent Go, gcc and libgreet-dev, and see/,
      });
  });

  it('takes what was built before', async () => {
    const home = join(cache, 'greeter-1.2.0');
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, 'greeter'), '');
    expect(await findGoProgram(deps, greeter, { env })).toEqual({ greeter: join(home, 'greeter') });
  });
});
