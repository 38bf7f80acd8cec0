import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
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
/** Beside containerd's own in a template: what it was made from. */
const RECORD = 'made-from.json';
/** After so many changes a template is made from nothing again: images that nobody wants any more stay until then. */
const MOST_CHANGES = 30;

const recordSchema = z.strictObject({ archives: z.array(z.string()), changes: z.int() });

/**
 * A directory of containerd's in which the images of all archives are imported and unpacked. It is made once, and for the
 * same archives found again; for others, from the one before by importing what has changed. The last one is kept. Resolves
 * with its path; throws MantaError `ImagesFailed`.
 */
export async function makeTemplate(config: TemplateConfig): Promise<string> {
  const wanted = config.archives.map(identify);
  const name = `images-${createHash('sha256').update(wanted.sort().join('\n')).digest('hex').slice(0, 16)}`;
  const made = join(config.templates, name);
  if (existsSync(made)) return made;
  mkdirSync(config.templates, { recursive: true });
  const place = `${made}.unfinished`;
  try {
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place);
    const before = await copyLast(config.templates, place);
    const missing = config.archives.filter(archive => !before.archives.includes(identify(archive)));
    if (missing.length > 0) await importAll(place, missing, config);
    const record: z.infer<typeof recordSchema> = { archives: wanted, changes: before.changes + 1 };
    writeFileSync(join(place, RECORD), JSON.stringify(record));
  } catch (cause) {
    rmSync(place, { recursive: true, force: true });
    throw new MantaError('ImagesFailed', `the images were not imported: ${(cause as Error).message}`, { cause });
  }
  renameSync(place, made);
  for (const other of templatesIn(config.templates)) {
    if (other !== name) rmSync(join(config.templates, other), { recursive: true, force: true });
  }
  return made;
}

function templatesIn(directory: string): string[] {
  return readdirSync(directory).filter(name => name.startsWith('images-'));
}

/** Fills a new template with the last one, and tells what is in it: nothing when there is none, or it has changed a lot. */
async function copyLast(templates: string, place: string): Promise<z.infer<typeof recordSchema>> {
  for (const name of templatesIn(templates)) {
    const record = join(templates, name, RECORD);
    if (!existsSync(record)) continue;
    const last = recordSchema.parse(JSON.parse(readFileSync(record, 'utf8')));
    if (last.changes >= MOST_CHANGES) continue;
    await copyTemplate(join(templates, name), place);
    return last;
  }
  return { archives: [], changes: 0 };
}

/**
 * Gives a node the images of a template, if it has none. Blobs and unpacked layers are hard links: nothing ever writes to
 * them. Containerd's databases are copies.
 */
export async function copyTemplate(template: string, to: string): Promise<void> {
  if (existsSync(join(to, 'io.containerd.metadata.v1.bolt'))) return;
  await run(['cp', '-al', `${template}/.`, to]);
  // Of which every copy gets its own.
  rmSync(join(to, RECORD), { force: true });
  for (const file of globSync('**/*.db', { cwd: template })) {
    rmSync(join(to, file));
    copyFileSync(join(template, file), join(to, file));
  }
}

/** Archives' names change with their contents; size and time are for those that were written by hand. */
function identify(archive: string): string {
  const { size, mtimeMs } = statSync(archive);
  return `${archive} ${size} ${mtimeMs}`;
}

async function importAll(place: string, archives: readonly string[], config: TemplateConfig): Promise<void> {
  // A short path: sockets are in it.
  const running = join(config.templates, 'run');
  rmSync(running, { recursive: true, force: true });
  mkdirSync(running);
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
    for (const archive of archives) await importArchive(join(config.programs, 'ctr'), socket, archive);
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
