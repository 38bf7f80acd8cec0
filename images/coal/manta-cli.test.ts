import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMantaClient, readIdentity } from '../../faults/manta-client.ts';
import { inShell, type Running, startCoal } from './testing.ts';

/** The commands of the unmodified npm package `manta`, as README's first hour has them. */
let top: string;
let dir: string;
let region: Running;
const sh = (text: string) => inShell(dir, text);

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), 'manta-cli-'));
  dir = join(top, 'coal');
  region = await startCoal(dir);
}, 90_000);
afterAll(async () => {
  region.child.kill('SIGINT');
  await region.exited;
  rmSync(top, { recursive: true, force: true });
});

describe('the manta command line', () => {
  it('makes directories, with parents, twice', async () => {
    await sh('mmkdir -p ~~/stor/walk/a/b; mmkdir -p ~~/stor/walk/a/b');
    expect(await sh('mls ~~/stor/walk')).toBe('a/\n');
  });

  it('puts empty, small, piped and checked files, with parents where they are missing', async () => {
    writeFileSync(join(top, 'small'), 'so much depends\n');
    writeFileSync(join(top, 'empty'), '');
    const small = join(top, 'small');
    await sh(
      `mmkdir -p ~~/stor/puts; mput -qf ${join(top, 'empty')} ~~/stor/puts/empty; mput -qf ${small} ~~/stor/puts/small`,
    );
    await sh(`cat ${small} | mput -q ~~/stor/puts/piped; mput -q --md5 -f ${small} ~~/stor/puts/checked`);
    await sh(`mput -q -p -f ${small} ~~/stor/puts/new/parents/small`);
    for (const name of ['small', 'piped', 'checked', 'new/parents/small']) {
      expect(await sh(`mget -q ~~/stor/puts/${name}`)).toBe('so much depends\n');
    }
    expect(await sh('mget -q ~~/stor/puts/empty')).toBe('');
    expect(await sh('minfo ~~/stor/puts/small')).toMatch(/^durability-level: 2$/m);
  });

  it('gets back what it put, megabytes of it', async () => {
    const body = randomBytes(24_000_000);
    writeFileSync(join(top, 'large'), body);
    await sh(`mput -qf ${join(top, 'large')} ~~/stor/large; mget -q -o ${join(top, 'copy')} ~~/stor/large`);
    const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    expect(sha(readFileSync(join(top, 'copy')))).toBe(sha(body));
  });

  it('lists in order, backwards, by time and in full', async () => {
    await sh('mmkdir -p ~~/stor/lists; for n in b c a; do echo $n | mput -q ~~/stor/lists/$n; done');
    expect(await sh('mls ~~/stor/lists')).toBe('a\nb\nc\n');
    expect(await sh('mls -r ~~/stor/lists')).toBe('c\nb\na\n');
    expect(await sh('mls -t ~~/stor/lists')).toBe('a\nc\nb\n');
    expect(await sh('mls -l ~~/stor/lists')).toMatch(/^-rwxr-xr-x 1 admin +2 .* a$/m);
  });

  it('links: the link keeps the bytes when the source is overwritten and deleted', async () => {
    await sh('echo old | mput -q ~~/stor/source; mln ~~/stor/source ~~/stor/linked; echo new | mput -q ~~/stor/source');
    expect(await sh('mget -q ~~/stor/linked; mget -q ~~/stor/source')).toBe('old\nnew\n');
    await sh('mrm ~~/stor/source');
    expect(await sh('mget -q ~~/stor/linked')).toBe('old\n');
  });

  it('changes headers of an object, and keeps its bytes', async () => {
    await sh("echo x | mput -q ~~/stor/headers; mchattr -H 'm-colour: blue' ~~/stor/headers");
    expect(await sh('minfo ~~/stor/headers')).toMatch(/^m-colour: blue$/m);
    expect(await sh('mget -q ~~/stor/headers')).toBe('x\n');
  });

  it('synchronises a tree and unpacks an archive', async () => {
    const tree = join(top, 'tree');
    mkdirSync(join(tree, 'deep'), { recursive: true });
    writeFileSync(join(tree, 'one'), '1');
    writeFileSync(join(tree, 'deep', 'two'), '2');
    await sh(
      `msync -q ${tree} ~~/stor/synced; tar -C ${top} -cf ${top}/tree.tar tree; muntar -f ${top}/tree.tar ~~/stor/unpacked`,
    );
    expect(await sh('mfind -t o ~~/stor/synced')).toBe('/admin/stor/synced/one\n/admin/stor/synced/deep/two\n');
    expect(await sh('mget -q ~~/stor/unpacked/tree/one ~~/stor/unpacked/tree/deep/two')).toBe('12');
  });

  it('removes trees, but not a directory that holds something', async () => {
    await sh('mmkdir -p ~~/stor/tree/deep; echo x | mput -q ~~/stor/tree/deep/x');
    await expect(sh('mrmdir ~~/stor/tree')).rejects.toThrow(/DirectoryNotEmptyError/);
    await sh('mrm -r ~~/stor/tree');
    await expect(sh('mls ~~/stor/tree')).rejects.toThrow(/NotFoundError/);
  });

  it('signs a URL that works for whoever has it', async () => {
    await sh('echo shared | mput -q ~~/stor/shared');
    // msign asks for functions that Node.js 23 dropped; users run it on an older Node.js.
    const older =
      "const util = require('node:util'); util.isDate = util.types.isDate; util.isRegExp = util.types.isRegExp;\n";
    writeFileSync(join(top, 'older.cjs'), older);
    const url = await sh(`NODE_OPTIONS="\${NODE_OPTIONS:-} --require=${join(top, 'older.cjs')}" msign ~~/stor/shared`);
    expect(await (await fetch(url.trim())).text()).toBe('shared\n');
    expect((await fetch(url.trim().replace('/shared?', '/headers?'))).status).toBe(403);
  });

  it('lists exactly three thousand names of every kind, in the order of their bytes', async () => {
    const names = strangeNames(3_000);
    const env = Object.fromEntries(
      [...readFileSync(join(dir, 'env'), 'utf8').matchAll(/^export (\w+)='(.*)'$/gm)].map(([, name, value]) => [
        name,
        value,
      ]),
    );
    const pem = readFileSync(join(dir, 'keys', 'id_rsa'), 'utf8');
    const client = createMantaClient(env.MANTA_URL ?? '', readIdentity('admin', env.MANTA_KEY_ID ?? '', pem));
    await sh('mmkdir -p ~~/stor/names');
    const rest = [...names];
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
          const path = `/admin/stor/names/${encodeURIComponent(name)}`;
          const { status } = await client.request('PUT', path, { body: Buffer.alloc(0) });
          if (status !== 204) throw new Error(`PUT of ${JSON.stringify(name)} answered ${status}`);
        }
      }),
    );
    client.close();
    const sorted = names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const listed = (await sh('mls -j ~~/stor/names'))
      .trim()
      .split('\n')
      .map(line => JSON.parse(line).name);
    expect(listed).toEqual(sorted);
    const found = (await sh('mfind -t o ~~/stor/names')).trimEnd().split('\n');
    expect(found.map(path => path.slice('/admin/stor/names/'.length))).toEqual(sorted);
  }, 120_000);
});

/** UTF-8 of all lengths, spaces, `%`, quotes, `#`, `?`, and components of 255 bytes; no line breaks, which mfind cannot show. */
function strangeNames(count: number): string[] {
  const pieces = [
    'a',
    'Z',
    '0',
    ' ',
    '%',
    '%41',
    '%zz',
    '"',
    "'",
    '#',
    '?',
    '&',
    '+',
    '=',
    ';',
    '~',
    '\\',
    '<',
    '|',
    'é',
    'e\u0301',
    'ß',
    '日本',
    '\u{1F600}',
    '…',
    '-',
    '.',
  ];
  const names = new Set<string>(['%', ' ', '...', '-rf', '日'.repeat(85), 'x'.repeat(255)]);
  for (let i = 0; names.size < count; i += 1) {
    const name = [i % 27, (i * 7) % 26, (i * 11) % 25].map(at => pieces[at]).join('');
    names.add(i % 100 === 0 ? `${name}${i}`.padEnd(255 - Buffer.byteLength(name) + name.length, 'n') : `${name}${i}`);
  }
  return [...names];
}
