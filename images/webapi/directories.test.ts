import { queryOnce } from '../../lib/database/testing.ts';
import type { Answer, TestClient } from './testing/client.ts';
import { startRegion, type TestRegion } from './testing/region.ts';

const DIRECTORY = { 'content-type': 'application/json; type=directory' };
const LISTING = 'application/x-json-stream; type=directory';

let region: TestRegion;
let alice: TestClient;
let operator: TestClient;
let names = 0;

beforeAll(async () => {
  region = await startRegion();
  alice = await region.account();
  operator = await region.account({ change: { groups: ['operators'] } });
});

afterAll(() => region?.close());

const fresh = () => {
  names += 1;
  return `/${alice.login}/stor/dir${names}`;
};
const outcome = ({ status, code }: Answer) => (code === undefined ? String(status) : `${status} ${code}`);
const mkdir = (path: string, headers = {}) => alice.request('PUT', path, { headers: { ...DIRECTORY, ...headers } });
const linesOf = ({ text }: Answer) =>
  text
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as Record<string, unknown>);
const namesIn = (answer: Answer) => linesOf(answer).map(({ name }) => name);

async function aDirectory(): Promise<string> {
  const path = fresh();
  await alice.mkdir(path);
  return path;
}

test('a directory that is made again after a removal was cut off stays', async () => {
  // Several, so that some have their two halves on different shards and some on one.
  const paths = await Promise.all(Array.from({ length: 8 }, () => aDirectory()));
  for (const target of region.databases.superuser.index) {
    // What a crash between the two steps of rmdir leaves: the permit is withdrawn for good, the entry still stands.
    const text = "UPDATE directory SET state = 'deleting', changed = now() - interval '1 h' WHERE path ~ $1";
    await queryOnce(target, text, [`/(${paths.map(path => path.split('/').at(-1)).join('|')})$`]);
  }
  for (const path of paths) expect(outcome(await mkdir(path))).toBe('204');
  await region.metadata.sweep(AbortSignal.timeout(10_000));
  for (const path of paths) expect(outcome(await alice.request('GET', path))).toBe('200');
});

/** A new directory that holds `a` to `e`, in this order of time; `b` and `d` are directories. */
async function aFilledDirectory(): Promise<string> {
  const path = await aDirectory();
  for (const name of ['c', 'a', 'e']) await alice.put(`${path}/${name}`, name);
  for (const name of ['d', 'b']) await alice.mkdir(`${path}/${name}`);
  return path;
}

describe('PUT of a directory', () => {
  it('is 204 again and again; Last-Modified tells that it was there before', async () => {
    const path = fresh();
    const first = await mkdir(path, { 'm-a': '1' });
    const second = await mkdir(path, { 'm-a': '1' });
    expect([outcome(first), first.headers['last-modified']]).toEqual(['204', undefined]);
    expect([outcome(second), second.headers['last-modified']]).toEqual(['204', expect.any(String)]);
    expect((await alice.request('HEAD', path)).headers).toMatchObject({ 'm-a': '1' });
  });

  it('replaces the headers when others are sent', async () => {
    const path = fresh();
    await mkdir(path, { 'm-a': '1' });
    await mkdir(path, { 'm-b': '2' });
    const { headers } = await alice.request('HEAD', path);
    expect([headers['m-a'], headers['m-b']]).toEqual([undefined, '2']);
  });

  it('keeps header values beyond ASCII as they came', async () => {
    const path = fresh();
    const value = Buffer.from('grüße').toString('latin1');
    await mkdir(path, { 'm-greeting': value });
    await alice.put(`${path}/x`, '');
    expect((await alice.request('GET', path)).headers['m-greeting']).toBe(value);
  });

  it('names the parent that is missing or no directory', async () => {
    const path = fresh();
    const orphan = await mkdir(`${path}/a/b`);
    expect([outcome(orphan), JSON.parse(orphan.text).message]).toEqual([
      '404 DirectoryDoesNotExist',
      `${path}/a does not exist`,
    ]);
    await alice.put(path, 'x');
    const below = await mkdir(`${path}/a`);
    expect([outcome(below), JSON.parse(below.text).message]).toEqual([
      '400 ParentNotDirectory',
      `${path} is not a directory`,
    ]);
  });

  it('replaces an object of that name', async () => {
    const path = fresh();
    await alice.put(path, 'x');
    expect(outcome(await mkdir(path))).toBe('204');
    expect((await alice.request('HEAD', path)).headers['content-type']).toBe(LISTING);
  });

  it('is 204 for all of many at once', async () => {
    const path = fresh();
    const answers = await Promise.all(Array.from({ length: 20 }, () => mkdir(path)));
    expect(answers.map(outcome)).toEqual(Array(20).fill('204'));
  });

  it('works on a root, but not on the account', async () => {
    const bob = await region.account();
    const make = (path: string) => bob.request('PUT', path, { headers: { ...DIRECTORY, 'm-a': '1' } });
    await bob.put(`/${bob.login}/reports/before`, 'x');
    expect(outcome(await make(`/${bob.login}/reports`))).toBe('204');
    const list = await bob.request('GET', `/${bob.login}/reports`);
    expect([list.headers['m-a'], namesIn(list)]).toEqual(['1', ['before']]);
    expect(outcome(await make(`/${bob.login}`))).toBe('400 OperationNotAllowedOnRootDirectory');
  });

  it('is 204 for all of many at once on a root', async () => {
    const bob = await region.account();
    const make = (n: number) =>
      bob.request('PUT', `/${bob.login}/stor`, { headers: { ...DIRECTORY, 'm-a': `${n % 2}` } });
    const made = await Promise.all(Array.from({ length: 10 }, (_, i) => make(i)));
    expect(made.map(outcome)).toEqual(Array(10).fill('204'));
    const update = () => bob.request('PUT', `/${bob.login}/public?metadata=1`, { body: '', chunked: true });
    const updated = await Promise.all(Array.from({ length: 3 }, update));
    expect(updated.map(outcome)).toEqual(Array(3).fill('204'));
  });

  it('is never answered 412', async () => {
    const path = await aDirectory();
    expect(outcome(await mkdir(path, { 'if-none-match': '*', 'm-a': '1' }))).toBe('204');
  });

  it('refuses role tags', async () => {
    expect(outcome(await mkdir(fresh(), { 'role-tag': 'a' }))).toBe('409 InvalidRoleTag');
    expect(outcome(await mkdir(fresh(), { 'role-tag': '' }))).toBe('204');
  });
});

describe('GET of a directory', () => {
  it('lists its entries by name, with exactly the fields that clients know', async () => {
    const path = await aFilledDirectory();
    const { headers } = await alice.put(`${path}/a`, 'aa', {
      'content-type': 'text/plain',
      'content-disposition': 'inline; filename=x',
      'durability-level': '1',
      'm-hidden': '1',
    });
    const answer = await alice.request('GET', path);
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'content-type': LISTING, 'result-set-size': '5', 'transfer-encoding': 'chunked' },
    });
    expect(answer.headers['last-modified']).toBeDefined();
    expect(namesIn(answer)).toEqual(['a', 'b', 'c', 'd', 'e']);
    const [a, b] = linesOf(answer);
    const mtime = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(b).toEqual({ name: 'b', type: 'directory', mtime });
    expect(a).toEqual({
      name: 'a',
      etag: headers.etag,
      size: 2,
      type: 'object',
      contentType: 'text/plain',
      contentDisposition: 'inline; filename="x"',
      contentMD5: headers['computed-md5'],
      mtime,
      durability: 1,
    });
    expect(Object.keys(a ?? {})).toEqual([
      ...['name', 'etag', 'size', 'type', 'contentType', 'contentDisposition', 'contentMD5', 'mtime', 'durability'],
    ]);
  });

  it.each([
    ['', ['a', 'b', 'c', 'd', 'e']],
    ['limit=2', ['a', 'b']],
    ['marker=c', ['c', 'd', 'e']],
    ['marker=c&limit=1', ['c']],
    ['marker=bb', ['c', 'd', 'e']],
    ['sort_order=reverse', ['e', 'd', 'c', 'b', 'a']],
    ['sort_order=reverse&marker=c', ['c', 'b', 'a']],
    ['sort=mtime', ['b', 'd', 'e', 'a', 'c']],
    ['sort=mtime&sort_order=reverse', ['c', 'a', 'e', 'd', 'b']],
    ['sort=whatever', ['a', 'b', 'c', 'd', 'e']],
    ['dir', ['b', 'd']],
    ['directory=', ['b', 'd']],
    ['obj=true', ['a', 'c', 'e']],
    ['object', ['a', 'c', 'e']],
    ['dir&obj', ['a', 'b', 'c', 'd', 'e']],
    ['dir&limit=1', ['b']],
  ])('with ?%s lists %p of five', async (query, expected) => {
    const answer = await alice.request('GET', `${await aFilledDirectory()}?${query}`);
    expect([namesIn(answer), answer.headers['result-set-size']]).toEqual([expected, '5']);
  });

  it('takes a time as the marker when sorted by it', async () => {
    const path = await aFilledDirectory();
    const [newest, second] = linesOf(await alice.request('GET', `${path}?sort=mtime`));
    const answer = await alice.request('GET', `${path}?sort=mtime&marker=${second?.mtime}`);
    expect(namesIn(answer)).not.toContain(newest?.name);
    expect(namesIn(answer)).toContain(second?.name);
  });

  it.each([
    ['limit=0', '400 InvalidArgumentError', 'limit=0 is invalid: must be between [1, 1024]'],
    ['limit=1025', '400 InvalidArgumentError', 'limit=1025 is invalid: must be between [1, 1024]'],
    ['limit=99999999999999999999', '400 InvalidArgumentError', expect.any(String)],
    ['limit=many', '400 InvalidArgumentError', expect.any(String)],
    ['limit=', '400 InvalidArgumentError', expect.any(String)],
    ['sort=mtime&marker=x', '400 InvalidParameter', '"x" is invalid for "marker"'],
    ['marker=%00', '400 InvalidParameter', expect.any(String)],
    [
      'sort=none&skip_owner_check=true',
      '403 QueryParameterForbidden',
      'Use of these query parameters is restricted to operators: sort=none, skip_owner_check=true',
    ],
  ])('refuses ?%s', async (query, expected, message) => {
    const answer = await alice.request('GET', `/${alice.login}/stor?${query}`);
    expect([outcome(answer), JSON.parse(answer.text).message]).toEqual([expected, message]);
  });

  it('lets operators skip the order and the check of owners', async () => {
    const path = await aFilledDirectory();
    const answer = await operator.request('GET', `${path}?sort=none&skip_owner_check=true`);
    expect(namesIn(answer).sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('sorts names by their bytes', async () => {
    const path = await aDirectory();
    for (const name of ['é', 'a', 'Z']) await alice.put(`${path}/${encodeURIComponent(name)}`, '');
    expect(namesIn(await alice.request('GET', path))).toEqual(['Z', 'a', 'é']);
  });

  it('lists an empty directory, and a root that nothing was ever put in', async () => {
    for (const path of [await aDirectory(), `/${alice.login}/reports`]) {
      const answer = await alice.request('GET', path);
      expect(answer).toMatchObject({ status: 200, text: '', headers: { 'result-set-size': '0' } });
    }
  });

  it('pages through more entries than fit one page, each once but for the inclusive marker', async () => {
    const path = await aDirectory();
    const all = Array.from({ length: 30 }, (_, i) => `n${String(i).padStart(2, '0')}`);
    await Promise.all(all.map(name => alice.put(`${path}/${name}`, '')));
    const seen: unknown[] = [];
    for (let marker = ''; ; ) {
      const page = namesIn(await alice.request('GET', `${path}?limit=7&marker=${marker}`));
      seen.push(...page.slice(marker === '' ? 0 : 1));
      if (page.length < 7) break;
      marker = String(page[6]);
    }
    expect(seen).toEqual(all);
  });

  it('ignores Accept and conditions', async () => {
    const headers = { accept: 'image/png', 'if-match': 'x' };
    expect((await alice.request('GET', await aDirectory(), { headers })).status).toBe(200);
  });

  it('is 404 where nothing is', async () => {
    expect(outcome(await alice.request('GET', fresh()))).toBe('404 ResourceNotFound');
  });
});

test('HEAD of a directory has its headers and neither a body nor a length', async () => {
  const answer = await alice.request('HEAD', await aFilledDirectory());
  expect(answer).toMatchObject({ status: 200, text: '', headers: { 'content-type': LISTING, 'result-set-size': '5' } });
  expect(answer.headers['content-length']).toBeUndefined();
  expect(answer.headers['transfer-encoding']).toBeUndefined();
  expect(answer.headers.etag).toBeUndefined();
});

describe('DELETE of a directory', () => {
  it('needs it empty', async () => {
    const path = await aDirectory();
    await alice.put(`${path}/x`, '');
    const full = await alice.request('DELETE', path);
    expect([outcome(full), JSON.parse(full.text).message]).toEqual(['400 DirectoryNotEmpty', `${path} is not empty`]);
    await alice.request('DELETE', `${path}/x`);
    expect(outcome(await alice.request('DELETE', path))).toBe('204');
    expect(outcome(await alice.request('DELETE', path))).toBe('404 ResourceNotFound');
  });

  it('may follow the last child at once, and conditions do not stop it', async () => {
    const path = await aDirectory();
    await Promise.all(['a', 'b', 'c'].map(name => alice.put(`${path}/${name}`, '')));
    await Promise.all(['a', 'b', 'c'].map(name => alice.request('DELETE', `${path}/${name}`)));
    const headers = { 'if-unmodified-since': new Date(0).toUTCString() };
    expect(outcome(await alice.request('DELETE', path, { headers }))).toBe('204');
  });

  it('refuses roots and accounts', async () => {
    for (const path of [`/${alice.login}/stor`, `/${alice.login}/jobs/`, `/${alice.login}`]) {
      expect(outcome(await alice.request('DELETE', path))).toBe('400 OperationNotAllowedOnRootDirectory');
    }
  });
});

describe('PUT of a directory’s metadata', () => {
  const update = (path: string, headers = {}) =>
    alice.request('PUT', `${path}?metadata=true`, { body: '', chunked: true, headers });

  it('replaces its headers, ignores the type, and keeps its entries', async () => {
    const path = await aFilledDirectory();
    expect(outcome(await update(path, { 'm-a': '1', 'content-type': 'text/plain' }))).toBe('204');
    const answer = await alice.request('GET', path);
    expect(answer.headers).toMatchObject({ 'm-a': '1', 'content-type': LISTING, 'result-set-size': '5' });
  });

  it('works on a root with the listing type or none', async () => {
    const root = `/${alice.login}/jobs`;
    expect(outcome(await update(root, { 'm-a': '1' }))).toBe('204');
    expect(outcome(await update(root, { 'm-b': '2', 'content-type': LISTING }))).toBe('204');
    const { headers } = await alice.request('HEAD', root);
    expect([headers['m-a'], headers['m-b']]).toEqual([undefined, '2']);
    const typed = await update(root, { 'content-type': 'text/plain' });
    expect(outcome(typed)).toBe('400 OperationNotAllowedOnRootDirectory');
  });
});

describe('the account root', () => {
  it('lists the roots, after an exclusive marker', async () => {
    const answer = await alice.request('GET', `/${alice.login}`);
    expect(answer.headers).toMatchObject({ 'content-type': LISTING, 'result-set-size': '4' });
    expect(linesOf(answer)).toEqual(
      ['jobs', 'public', 'reports', 'stor'].map(name => ({
        name,
        type: 'directory',
        mtime: '2013-05-22T17:39:43.714Z',
      })),
    );
    const rest = await alice.request('GET', `/${alice.login}/?marker=public&limit=1`);
    expect([namesIn(rest), rest.headers['result-set-size']]).toEqual([['reports', 'stor'], '2']);
    const head = await alice.request('HEAD', `/${alice.login}`);
    expect([head.text, head.headers['result-set-size']]).toEqual(['', '4']);
  });

  it('is nobody else’s business', async () => {
    expect(outcome(await alice.request('GET', `/${operator.login}`))).toBe('403 AuthorizationFailed');
    expect((await operator.request('GET', `/${alice.login}`)).status).toBe(200);
  });

  it.each(['PUT', 'POST', 'DELETE'])('refuses %s', async method => {
    const answer = await alice.request(method, `/${alice.login}`);
    expect([outcome(answer), JSON.parse(answer.text).message]).toEqual([
      '400 OperationNotAllowedOnRootDirectory',
      `${method} is not allowed on /${alice.login}`,
    ]);
  });
});
