import { createHash } from 'node:crypto';
import { createWriteStream, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';

/** The image of every pod's first container. */
export const PAUSE_IMAGE = 'manta.local/pause:1';
export const COREDNS_IMAGE = 'manta.local/coredns:1';
/** What tests of the cluster itself run; see `go/probe`. */
export const PROBE_IMAGE = 'manta.local/probe:1';

export interface ProgramImage {
  /** With its tag. */
  readonly image: string;
  /** A statically linked program. */
  readonly program: string;
  /** `uid:gid` that it runs as. */
  readonly user: string;
}

/**
 * Writes an archive, as `docker save` does, of an image that has one program in it and nothing else. Resolves with its
 * path, the same for the same contents; what is there is not written again.
 */
export async function archiveProgram(dir: string, { image, program, user }: ProgramImage): Promise<string> {
  const layer = await tar([{ name: entrypointOf(image).slice(1), mode: 0o755, content: readFileSync(program) }]);
  const digest = sha256(layer);
  const config = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Entrypoint: [entrypointOf(image)], User: user, WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
    history: [{ created_by: entrypointOf(image) }],
  });
  const name = sha256(config);
  const path = join(dir, `${entrypointOf(image).slice(1)}-${name.slice(0, 16)}.tar`);
  if (existsSync(path)) return path;
  mkdirSync(dir, { recursive: true });
  const manifest = [{ Config: `${name}.json`, RepoTags: [image], Layers: [`${digest}/layer.tar`] }];
  const archive = pack();
  archive.entry({ name: `${name}.json` }, config);
  archive.entry({ name: `${digest}/layer.tar` }, layer);
  archive.entry({ name: 'manifest.json' }, JSON.stringify(manifest));
  archive.finalize();
  await pipeline(archive, createWriteStream(`${path}.unfinished`));
  renameSync(`${path}.unfinished`, path);
  return path;
}

/** `manta.local/pause:1` runs `/pause`. */
function entrypointOf(image: string): string {
  return `/${/([^/:]+):[^:]+$/.exec(image)?.[1] ?? 'program'}`;
}

async function tar(files: readonly { name: string; mode: number; content: Buffer }[]): Promise<Buffer> {
  const archive = pack();
  // Always the same time: the same program is the same image.
  for (const { content, ...header } of files) archive.entry({ ...header, mtime: new Date(0) }, content);
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
