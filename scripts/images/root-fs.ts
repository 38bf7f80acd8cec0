import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run.ts';

/** How an image starts, of all that its configuration says. */
export interface ImageStart {
  readonly entrypoint: readonly string[];
  readonly env: readonly string[];
  readonly user: string;
  readonly workingDir: string;
}

/** Unpacks an archive's image into `root`, layer upon layer, as root. Resolves with how it starts. */
export async function unpackArchive(archive: string, root: string): Promise<ImageStart> {
  const parts = `${root}.parts`;
  for (const directory of [root, parts]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
  }
  try {
    await run('tar', ['-xf', archive, '-C', parts]);
    const [manifest] = read<{ Config: string; Layers: string[] }[]>(join(parts, 'manifest.json'));
    for (const layer of manifest?.Layers ?? []) await applyLayer(join(parts, layer), root);
    const { config } = read<{ config: DockerConfig }>(join(parts, manifest?.Config ?? ''));
    const { Entrypoint, Env, User, WorkingDir } = config;
    return { entrypoint: Entrypoint ?? [], env: Env ?? [], user: User ?? '', workingDir: WorkingDir || '/' };
  } finally {
    rmSync(parts, { recursive: true, force: true });
  }
}

interface DockerConfig {
  readonly Entrypoint?: string[];
  readonly Env?: string[];
  readonly User?: string;
  readonly WorkingDir?: string;
}

/** A file `.wh.NAME` of a layer removes NAME of the layers below, `.wh..wh..opq` all beside it. */
async function applyLayer(layer: string, root: string): Promise<void> {
  const names = (await run('tar', ['-tf', layer])).split('\n').filter(name => name.includes('.wh.'));
  for (const name of names) {
    const [, directory = '', gone = ''] = /^(?:\.?\/)?(.*?)\.wh\.([^/]*)\/?$/.exec(name) ?? [];
    if (gone === '.wh..opq') rmSync(join(root, directory), { recursive: true, force: true });
    else rmSync(join(root, directory, gone), { recursive: true, force: true });
  }
  await run('tar', ['-xf', layer, '-C', root, '--exclude=.wh.*', '--numeric-owner', '--same-permissions']);
}

function read<T>(file: string): T {
  return JSON.parse(readFileSync(file, 'utf8')) as T;
}
