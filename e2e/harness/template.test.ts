import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pino from 'pino';
import { CONTAINERD } from '../../lib/go-program/cluster-programs.ts';
import { findGoProgram } from '../../lib/go-program/go-program.ts';
import { archiveProgram } from '../cluster/images.ts';
import { furnishFrom, updateTemplate } from '../cluster/template.ts';

let dir: string;
let programs: string;

beforeAll(async () => {
  programs = dirname((await findGoProgram({ logger: pino({ level: 'silent' }) }, CONTAINERD)).containerd);
}, 900_000);
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'manta-template-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** An archive of an image with one file in it, which has no need to be a program. */
function anArchive(name: string, text: string): Promise<string> {
  writeFileSync(join(dir, name), text);
  return archiveProgram(join(dir, 'archives'), {
    image: `manta.local/${name}:1`,
    program: join(dir, name),
    user: '0:0',
  });
}

/** The unpacked file of each image, by name, as its inode. */
function unpacked(directory: string): Record<string, number> {
  const layers = join(directory, 'io.containerd.snapshotter.v1.overlayfs/snapshots');
  const files = readdirSync(layers).flatMap(layer => readdirSync(join(layers, layer, 'fs')).map(name => [layer, name]));
  return Object.fromEntries(
    files.map(([layer = '', name = '']) => [name, statSync(join(layers, layer, 'fs', name)).ino]),
  );
}

describe('updateTemplate', () => {
  it('imports what has changed, and nothing when nothing has', async () => {
    const config = { templates: dir, programs };
    const one = await anArchive('one', 'first');
    const template = await updateTemplate({ ...config, archives: [one] });
    const before = unpacked(template);
    expect(Object.keys(before)).toEqual(['one']);
    const log = join(dir, 'import.log');
    const logged = statSync(log).size;
    expect(await updateTemplate({ ...config, archives: [one] })).toBe(template);
    expect(statSync(log).size).toBe(logged);

    await updateTemplate({ ...config, archives: [one, await anArchive('two', 'second')] });
    expect(unpacked(template)).toEqual({ one: before.one, two: expect.any(Number) });
  });

  it('imports an archive again when another of its name was imported meanwhile', async () => {
    const config = { templates: dir, programs };
    const archives = [await anArchive('one', 'first'), await anArchive('one', 'second')];
    expect(new Set(archives).size).toBe(2);
    const imports: number[] = [];
    for (const archive of [...archives, ...archives]) {
      await updateTemplate({ ...config, archives: [archive] });
      imports.push(JSON.parse(readFileSync(join(dir, 'made-from.json'), 'utf8')).imports);
    }
    expect(imports).toEqual([1, 2, 3, 4]);
  });

  it('says which archive is none, and keeps what it had', async () => {
    const one = await anArchive('one', 'first');
    const template = await updateTemplate({ templates: dir, programs, archives: [one] });
    const broken = join(dir, 'broken-0.tar');
    writeFileSync(broken, 'no archive');
    const failure = updateTemplate({ templates: dir, programs, archives: [one, broken] });
    await expect(failure).rejects.toMatchObject({ code: 'ImagesFailed', message: /broken-0\.tar/ });
    expect(Object.keys(unpacked(template))).toEqual(['one']);
  });
});

describe('furnishFrom', () => {
  it('shares layers with the template, and gives containerd databases of its own', async () => {
    const template = await updateTemplate({ templates: dir, programs, archives: [await anArchive('one', 'first')] });
    const node = join(dir, 'node');
    mkdirSync(node);
    await furnishFrom(template, node);
    expect(unpacked(node)).toEqual(unpacked(template));
    const database = 'io.containerd.metadata.v1.bolt/meta.db';
    expect(statSync(join(node, database)).ino).not.toBe(statSync(join(template, database)).ino);
  });
});
