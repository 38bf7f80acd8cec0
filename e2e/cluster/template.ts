import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { run } from './command.ts';
import { createDaemon, lastLines } from './daemon.ts';

export interface TemplateConfig {
  /** Where templates are kept. */
  readonly templates: string;
  /** Archives of images, absolute paths. */
  readonly archives: readonly string[];
  /** Directory of containerd, ctr and runc. */
  readonly programs: string;
}

const IMPORT_WITHIN_MS = 300_000;

/**
 * A directory of containerd's in which the images of all archives are imported and unpacked: made once, and for the same
 * archives found again. It is the only one kept. Resolves with its path; throws MantaError `ImagesFailed`.
 */
export async function makeTemplate(config: TemplateConfig): Promise<string> {
  const name = `images-${fingerprint(config.archives)}`;
  const made = join(config.templates, name);
  if (existsSync(made)) return made;
  mkdirSync(config.templates, { recursive: true });
  const place = join(config.templates, `${name}.unfinished`);
  rmSync(place, { recursive: true, force: true });
  try {
    await importAll(place, config);
  } catch (cause) {
    rmSync(place, { recursive: true, force: true });
    throw new MantaError('ImagesFailed', `the images were not imported: ${(cause as Error).message}`, { cause });
  }
  for (const other of readdirSync(config.templates).filter(found => found.startsWith('images-'))) {
    if (other !== `${name}.unfinished`) rmSync(join(config.templates, other), { recursive: true, force: true });
  }
  renameSync(place, made);
  return made;
}

/**
 * Gives a node the images of a template, if it has none. Blobs and unpacked layers are hard links: nothing ever writes to
 * them. Containerd's databases are copies.
 */
export async function copyTemplate(template: string, to: string): Promise<void> {
  if (existsSync(join(to, 'io.containerd.metadata.v1.bolt'))) return;
  await run(['cp', '-al', `${template}/.`, to]);
  for (const file of globSync('**/*.db', { cwd: template })) {
    rmSync(join(to, file));
    copyFileSync(join(template, file), join(to, file));
  }
}

/** Archives are told apart by path, size and time: their names change with their contents. */
function fingerprint(archives: readonly string[]): string {
  const hash = createHash('sha256');
  for (const archive of [...archives].sort()) {
    const { size, mtimeMs } = statSync(archive);
    hash.update(`${archive}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

async function importAll(place: string, config: TemplateConfig): Promise<void> {
  const running = `${place}.run`;
  mkdirSync(place);
  mkdirSync(running, { recursive: true });
  const socket = join(running, 'c.sock');
  const settings = join(running, 'containerd.toml');
  writeFileSync(settings, importSettings(place, running, socket));
  const logFile = join(config.templates, 'import.log');
  const containerd = createDaemon({
    name: 'containerd',
    logFile,
    command: [join(config.programs, 'containerd'), '--config', settings, '--log-level', 'warn'],
    env: { ...process.env, PATH: `${config.programs}:${process.env.PATH}` },
  });
  containerd.start();
  try {
    await eventually(() => existsSync(socket), 30_000);
    for (const archive of config.archives) await importArchive(join(config.programs, 'ctr'), socket, archive);
  } catch (cause) {
    throw new Error(`${(cause as Error).message}\n${lastLines(logFile)}`, { cause });
  } finally {
    await containerd.kill();
    rmSync(running, { recursive: true, force: true });
  }
}

/** Without what would make directories elsewhere on this machine. */
function importSettings(root: string, running: string, socket: string): string {
  const unwanted = ['internal.v1.opt', 'nri.v1.nri', 'grpc.v1.cri', 'cri.v1.images', 'cri.v1.runtime'];
  return `version = 3
root = "${root}"
state = "${running}/state"
disabled_plugins = ${JSON.stringify(unwanted.map(name => `io.containerd.${name}`))}
[grpc]
  address = "${socket}"
`;
}

/** Imports an archive's images into a running containerd, where kubelet looks for them. `ctr` is a command's beginning. */
export async function importArchive(ctr: string, socket: string, archive: string): Promise<void> {
  await run([ctr, '--address', socket, '--namespace', 'k8s.io', 'images', 'import', archive], {
    withinMs: IMPORT_WITHIN_MS,
  });
}
