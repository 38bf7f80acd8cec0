import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { run } from './command.ts';
import { createDaemon, lastLines } from './daemon.ts';
import { archiveName } from './place.ts';

export interface TemplateConfig {
  /** Where templates are kept. */
  readonly templates: string;
  /** Archives of images, absolute paths. */
  readonly archives: readonly string[];
  /** Directory of containerd, ctr and runc. */
  readonly programs: string;
}

const IMPORT_WITHIN_MS = 300_000;
/** After so many imports it is made from nothing again: images that nobody wants any more stay until then. */
const MOST_IMPORTS = 100;
const DATABASES = [
  'io.containerd.metadata.v1.bolt/meta.db',
  'io.containerd.snapshotter.v1.overlayfs/metadata.db',
] as const;

/** What is in a template: the identity of the archive by its name, and how often something was put in. */
const recordSchema = z.strictObject({ archives: z.record(z.string(), z.string()), imports: z.int() });
type TemplateRecord = z.infer<typeof recordSchema>;

/**
 * Sees to it that the template, a directory of containerd's that nodes start from, has the images of these archives,
 * imported and unpacked. Only what has changed is imported; when that is broken off, what was done stays. No cluster of
 * this template runs meanwhile. Resolves with its path; throws MantaError `ImagesFailed`.
 */
export async function updateTemplate(config: TemplateConfig): Promise<string> {
  const template = join(config.templates, 'containerd');
  const record = readRecord(config);
  const missing = config.archives.filter(archive => record.archives[archiveName(archive)] !== identify(archive));
  if (missing.length === 0) return template;
  if (record.imports === 0) rmSync(template, { recursive: true, force: true });
  mkdirSync(template, { recursive: true });
  try {
    await importAll(template, missing, config, archive => {
      record.archives[archiveName(archive)] = identify(archive);
      record.imports += 1;
      writeFileSync(recordOf(config), JSON.stringify(record));
    });
  } catch (cause) {
    throw new MantaError('ImagesFailed', `the images were not imported: ${(cause as Error).message}`, { cause });
  }
  return template;
}

function recordOf({ templates }: TemplateConfig): string {
  return join(templates, 'made-from.json');
}

function readRecord(config: TemplateConfig): TemplateRecord {
  const nothing: TemplateRecord = { archives: {}, imports: 0 };
  if (!existsSync(recordOf(config))) return nothing;
  const read = recordSchema.safeParse(JSON.parse(readFileSync(recordOf(config), 'utf8')));
  return read.success && read.data.imports < MOST_IMPORTS ? read.data : nothing;
}

/**
 * Gives a node the images of a template, if it has none. Blobs and unpacked layers are hard links, for nothing ever writes
 * to them; containerd's databases are copies. Not links to directories, nor mounts: of these a pod in a user namespace
 * would see the wrong owners.
 */
export async function furnishFrom(template: string, to: string): Promise<void> {
  if (existsSync(join(to, DATABASES[0]))) return;
  await run(['cp', '-al', `${template}/.`, to]);
  for (const file of DATABASES) {
    rmSync(join(to, file));
    copyFileSync(join(template, file), join(to, file));
  }
}

/** A name with a hash of the contents says it all; other archives may change under their names. */
function identify(archive: string): string {
  const { size, mtimeMs } = statSync(archive);
  return archiveName(archive) === basename(archive) ? `${archive} ${size} ${mtimeMs}` : archive;
}

async function importAll(
  template: string,
  archives: readonly string[],
  config: TemplateConfig,
  onImported: (archive: string) => void,
): Promise<void> {
  // A short path: sockets are in it.
  const running = join(config.templates, 'run');
  rmSync(running, { recursive: true, force: true });
  mkdirSync(running);
  const socket = join(running, 'c.sock');
  const settings = join(running, 'containerd.toml');
  writeFileSync(settings, importSettings(template, running, socket));
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
    for (const archive of archives) {
      await importArchive(join(config.programs, 'ctr'), socket, archive);
      onImported(archive);
    }
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
