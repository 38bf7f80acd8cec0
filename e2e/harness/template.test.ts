import { globSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pino from 'pino';
import { CONTAINERD } from '../../lib/go-program/cluster-programs.ts';
import { findGoProgram } from '../../lib/go-program/go-program.ts';
import { archiveProgram } from '../cluster/images.ts';
import { copyTemplate, makeTemplate } from '../cluster/template.ts';

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

/** The unpacked file of each image, by name. */
function unpacked(template: string): Record<string, number> {
  const files = globSync('io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/*', { cwd: template });
  return Object.fromEntries(files.map(file => [file.split('/').at(-1), statSync(join(template, file)).ino]));
}

describe('makeTemplate', () => {
  it('imports what has changed since the last one, and keeps no other', async () => {
    const config = { templates: join(dir, 'templates'), programs };
    const one = await anArchive('one', 'first');
    const first = await makeTemplate({ ...config, archives: [one] });
    const before = unpacked(first);
    expect(Object.keys(before)).toEqual(['one']);
    const made = statSync(first).ctimeMs;
    expect(await makeTemplate({ ...config, archives: [one] })).toBe(first);
    expect(statSync(first).ctimeMs).toBe(made);

    const second = await makeTemplate({ ...config, archives: [one, await anArchive('two', 'second')] });
    expect(unpacked(second)).toEqual({ one: before.one, two: expect.any(Number) });
    expect(readdirSync(config.templates).filter(name => name.startsWith('images-'))).toHaveLength(1);
  });

  it('says which archive is none, and leaves nothing half made', async () => {
    const templates = join(dir, 'templates');
    const broken = join(dir, 'broken-0.tar');
    writeFileSync(broken, 'no archive');
    const failure = makeTemplate({ templates, programs, archives: [broken] });
    await expect(failure).rejects.toMatchObject({ code: 'ImagesFailed', message: /broken-0\.tar/ });
    expect(readdirSync(templates)).toEqual(['import.log']);
  });
});

describe('copyTemplate', () => {
  it('shares layers with the template, and gives containerd databases of its own', async () => {
    const template = await makeTemplate({
      ...{ templates: join(dir, 'templates'), programs, archives: [await anArchive('one', 'first')] },
    });
    const node = join(dir, 'node');
    await copyTemplate(template, node);
    expect(unpacked(node)).toEqual(unpacked(template));
    const database = 'io.containerd.metadata.v1.bolt/meta.db';
    expect(statSync(join(node, database)).ino).not.toBe(statSync(join(template, database)).ino);
  });
});
