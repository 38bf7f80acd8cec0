import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { ETCD } from '../../lib/etcd-process/find-etcd.ts';
import { contextOf, copiedPaths, findImages, hashOf, ignoreRule, stage } from './contents.ts';

const root = resolve(import.meta.dirname, '..', '..');
const images = findImages(root);
const mainOf = (dockerfile: string) => join(dirname(dockerfile), 'main.ts');

describe('what goes into an image', () => {
  it('is found for every program', () => {
    const names = images.map(({ name }) => name).sort();
    expect(names).toEqual(
      expect.arrayContaining(['loadbalancer', 'nameservice', 'operator', 'postgres', 'storage', 'webapi']),
    );
  });

  it.each(images.map(image => [image.name, image] as const))('%s has all that its program imports', (_, image) => {
    const main = mainOf(image.dockerfile);
    const files = new Set(contextOf(root, image));
    const missing = existsSync(join(root, main)) ? importedBy(main).filter(file => !files.has(file)) : [];
    expect(missing).toEqual([]);
  });

  it.each(images.map(image => [image.name, image] as const))(
    '%s has no tests and nothing of other programs',
    (_, image) => {
      const files = contextOf(root, image);
      expect(files.filter(file => /\.test\.ts$|\/testing|\.md$|__snapshots__/.test(file))).toEqual([]);
      if (image.name === 'operator') return;
      const foreign = files.filter(file => file.startsWith('images/') && !file.startsWith(`images/${image.name}/`));
      expect(foreign.filter(file => file !== 'images/runtime-manifest.mjs')).toEqual([]);
    },
  );

  it('is read from COPY lines, other stages apart', () => {
    const text = 'COPY a b ./\nRUN COPY x y\nCOPY --from=modules /m m\nCOPY --chown=1:1 lib/c lib/c\n';
    expect(copiedPaths(text)).toEqual(['a', 'b', 'lib/c']);
  });

  it.each([
    ['lib/a.test.ts', true],
    ['images/x/testing/a.ts', true],
    ['images/x/testing.ts', true],
    ['images/x/testing-proxy.ts', true],
    ['images/x/attesting.ts', false],
    ['images/coal/main.ts', true],
    ['lib/images/coal/main.ts', false],
    ['lib/a.ts', false],
  ])('leaves out what .dockerignore takes out again: %s %s', (path, isIgnored) => {
    const lines = '# Comment\n*\n!lib\n**/*.test.ts\n**/testing\n**/testing.ts\n**/testing-*.ts\nimages/coal\n';
    expect(ignoreRule(lines)(path)).toBe(isIgnored);
  });
});

describe('Dockerfiles', () => {
  const texts = images.map(({ name, dockerfile }) => ({ name, text: readFileSync(join(root, dockerfile), 'utf8') }));

  it('of programs in TypeScript have their first layers in common', () => {
    const own = texts.filter(({ name }) => name !== 'nameservice');
    const shared = own.map(({ text }) => /^ARG NODE_BASE[\s\S]*?^COPY --from=modules .*$/m.exec(text)?.[0]);
    expect(shared[0]).toContain('npm ci');
    expect(new Set(shared).size).toBe(1);
  });

  it('build the etcd that tests run with', () => {
    const nameservice = texts.find(({ name }) => name === 'nameservice');
    expect(nameservice?.text).toContain(`ARG ETCD_VERSION=${ETCD.version}\n`);
  });

  it.each(texts.map(({ name, text }) => [name, text]))('let nobody be root: %s', (_, text) => {
    expect(text.match(/^USER (.*)$/gm)).toEqual(['USER 65532:65532']);
  });
});

describe('the hash of an image', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'manta-contents-'));
    writeFileSync(join(dir, 'a'), '1');
    writeFileSync(join(dir, 'b'), '2');
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('changes with the files, what they are called and what the image is called, and with nothing else', () => {
    const hash = hashOf(dir, ['a', 'b'], 'x:1');
    expect(hash).toMatch(/^[0-9a-f]{16}$/);
    expect(hashOf(dir, ['a', 'b'], 'x:2')).not.toBe(hash);
    expect(hashOf(dir, ['a'], 'x:1')).not.toBe(hash);
    writeFileSync(join(dir, 'b'), '3');
    expect(hashOf(dir, ['a', 'b'], 'x:1')).not.toBe(hash);
    writeFileSync(join(dir, 'b'), '2');
    writeFileSync(join(dir, 'c'), 'not of it');
    expect(hashOf(dir, ['a', 'b'], 'x:1')).toBe(hash);
  });

  it('is that of the staged copy', () => {
    const copy = join(dir, 'copy');
    stage(dir, ['a', 'b'], copy);
    expect(hashOf(copy, ['a', 'b'], 'x:1')).toBe(hashOf(dir, ['a', 'b'], 'x:1'));
  });
});

/** Files below the root that a program loads, its types apart. */
function importedBy(main: string): string[] {
  const seen = new Set<string>();
  const follow = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    const source = readFileSync(join(root, file), 'utf8');
    for (const [, target = ''] of source.matchAll(/^(?:import|export)(?! type)[^;]*?from '(\.[^']+)';/gm)) {
      follow(relative(root, resolve(root, dirname(file), target)));
    }
  };
  follow(main);
  return [...seen];
}
