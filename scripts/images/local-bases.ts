import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Engine } from './engine.ts';
import { run, works } from './run.ts';

const SUITE = 'trixie';
const CA_BUNDLE = 'etc/ssl/certs/ca-certificates.crt';
/** Milliseconds after which a registry counts as not there. */
const ANSWER_WITHIN_MS = 5_000;

/** The base images that Dockerfiles here begin with, in the order that they are made in. */
export const BASES = [
  `docker.io/library/debian:${SUITE}-slim`,
  `docker.io/library/node:26-${SUITE}-slim`,
  `docker.io/library/golang:1.26-${SUITE}`,
] as const;

/** Whether the public registry, where bases come from, answers anything at all. */
export async function isRegistryThere(): Promise<boolean> {
  try {
    await fetch('https://registry-1.docker.io/v2/', { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    return true;
  } catch {
    return false;
  }
}

export interface BaseMaker {
  readonly buildah: NonNullable<Engine['buildah']>;
  /** A directory to work in; removed at the end. */
  readonly directory: string;
  readonly log: string;
}

/**
 * Makes a base under its public name, where no registry answers: Debian by debootstrap from this machine's own mirror,
 * Node.js and npm from their npm packages, Go from this machine. Dockerfiles know nothing of it. Throws MantaError
 * `BaseFailed`, or `CommandFailed`.
 */
export async function makeBase(base: string, maker: BaseMaker): Promise<void> {
  rmSync(maker.directory, { recursive: true, force: true });
  mkdirSync(maker.directory, { recursive: true });
  try {
    if (base === BASES[0]) await makeDebian(maker);
    else if (base === BASES[1]) await makeNode(maker);
    else if (base === BASES[2]) await makeGo(maker);
    else throw new MantaError('BaseFailed', `nobody knows how to make ${base}`);
  } finally {
    rmSync(maker.directory, { recursive: true, force: true });
  }
}

async function makeDebian({ buildah, directory, log }: BaseMaker): Promise<void> {
  if (!(await works('debootstrap', ['--version']))) {
    await run('apt-get', ['install', '--yes', '--quiet', '--no-install-recommends', 'debootstrap'], { log });
  }
  const { main, security } = await debianMirrors();
  const root = join(directory, 'root');
  await run('debootstrap', ['--variant=minbase', '--include=ca-certificates', SUITE, root, main], { log });
  const signed = 'Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n';
  writeFileSync(
    join(root, 'etc/apt/sources.list.d/debian.sources'),
    `Types: deb\nURIs: ${main}\nSuites: ${SUITE} ${SUITE}-updates\n${signed}\n` +
      `Types: deb\nURIs: ${security}\nSuites: ${SUITE}-security\n${signed}`,
  );
  writeFileSync(join(root, 'etc/apt/sources.list'), '');
  // What a slim image leaves out, now and in what is installed later; debootstrap also copies what is this machine's own.
  const excluded = ['doc', 'man', 'locale', 'info', 'lintian', 'linda', 'groff'].map(name => `usr/share/${name}`);
  const excludes = excluded.map(path => `path-exclude /${path}/*`).join('\n');
  writeFileSync(join(root, 'etc/dpkg/dpkg.cfg.d/docker'), `${excludes}\npath-include /usr/share/doc/*/copyright\n`);
  for (const path of excluded) empty(join(root, path));
  for (const path of ['var/cache/apt/archives', 'var/lib/apt/lists', 'var/log']) empty(join(root, path));
  for (const path of ['etc/resolv.conf', 'etc/hostname']) rmSync(join(root, path), { force: true });
  // Authorities that this machine trusts besides the public ones, a proxy's perhaps, are needed in builds too.
  if (existsSync(`/${CA_BUNDLE}`)) cpSync(`/${CA_BUNDLE}`, join(root, CA_BUNDLE));
  const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  await commit({
    buildah,
    from: 'scratch',
    add: root,
    name: BASES[0],
    config: ['--cmd', 'bash', '--env', `PATH=${path}`],
  });
}

/** The mirrors in apt's own settings, whose suite is older or newer than the image's. */
async function debianMirrors(): Promise<{ readonly main: string; readonly security: string }> {
  const format = '$(SITE) $(CODENAME) $(ORIGIN)';
  const lines = (await run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'])).split('\n');
  const sites = lines.map(line => line.split(' ')).filter(([, , origin]) => origin === 'Debian');
  const main = sites.find(([, suite]) => suite !== undefined && !suite.includes('-'))?.[0];
  const security = sites.find(([, suite]) => suite?.endsWith('-security'))?.[0];
  if (main === undefined || security === undefined) {
    throw new MantaError('BaseFailed', 'no registry answers, and apt knows no mirror of Debian to make bases from');
  }
  return { main, security };
}

async function makeNode({ buildah, directory, log }: BaseMaker): Promise<void> {
  const architecture = process.arch === 'x64' ? 'x64' : 'arm64';
  const packed = async (name: string) => {
    const file =
      (await run('npm', ['pack', '--silent', name], { cwd: directory, log })).trim().split('\n').at(-1) ?? '';
    return join(directory, basename(file));
  };
  const modules = join(directory, 'root/usr/local/lib/node_modules/npm');
  const local = join(directory, 'root/usr/local');
  mkdirSync(modules, { recursive: true });
  const node = await packed(`node-linux-${architecture}@26`);
  await run('tar', ['-xzf', node, '-C', local, '--strip-components=1', '--wildcards', 'package/bin/*'], { log });
  await run('tar', ['-xzf', await packed('npm@11'), '-C', modules, '--strip-components=1'], { log });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin/npm'));
  symlinkSync('../lib/node_modules/npm/bin/npx-cli.js', join(local, 'bin/npx'));
  // Node.js trusts its own authorities, not the system's: behind a proxy with one of its own, npm would try for minutes.
  mkdirSync(join(local, 'etc'));
  writeFileSync(join(local, 'etc/npmrc'), `cafile=/${CA_BUNDLE}\n`);
  // Node.js is linked with it.
  const install = 'apt-get update && apt-get install --yes libatomic1 && rm -rf /var/lib/apt/lists/* /var/cache/apt';
  const add = join(directory, 'root');
  await commit({ buildah, from: BASES[0], add, script: install, name: BASES[1], config: ['--cmd', 'node'] });
}

async function makeGo({ buildah, directory, log }: BaseMaker): Promise<void> {
  const root = (await run('go', ['env', 'GOROOT'], { log })).trim();
  const target = join(directory, 'root/usr/local/go');
  mkdirSync(target, { recursive: true });
  for (const part of ['bin', 'pkg', 'src', 'lib', 'VERSION', 'go.env', 'misc']) {
    if (existsSync(join(root, part))) cpSync(join(root, part), join(target, part), { recursive: true });
  }
  // The modules come from where this machine gets them.
  const settings = ['GOPROXY', 'GOSUMDB', 'GONOSUMDB', 'GOFLAGS'];
  const values = (await run('go', ['env', ...settings], { log })).split('\n');
  const env = settings.flatMap((name, index) => ['--env', `${name}=${values[index] ?? ''}`]);
  const path = '/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  const config = ['--env', `PATH=${path}`, '--env', 'GOTOOLCHAIN=local', ...env];
  await commit({ buildah, from: BASES[0], add: join(directory, 'root'), name: BASES[2], config });
}

interface Commit {
  readonly buildah: NonNullable<Engine['buildah']>;
  readonly from: string;
  readonly add: string;
  readonly script?: string;
  readonly name: string;
  readonly config: readonly string[];
}

async function commit({ buildah, from, add, script, name, config }: Commit): Promise<void> {
  const container = (await buildah(['from', '--pull-never', from])).trim();
  try {
    await buildah(['add', '--quiet', container, add, '/']);
    if (script !== undefined) await buildah(['run', container, '--', 'sh', '-ec', script]);
    await buildah(['config', ...config, container]);
    await buildah(['commit', '--quiet', container, name]);
  } finally {
    await buildah(['rm', container]);
  }
}

function empty(directory: string): void {
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true, force: true });
}

/** The bases that a Dockerfile begins with. */
export function basesOf(dockerfile: string): readonly string[] {
  return [...readFileSync(dockerfile, 'utf8').matchAll(/^ARG \w*BASE=(\S+)$/gm)].map(([, base = '']) => base);
}
