import { createHash, randomBytes } from 'node:crypto';
import type { Answer, TestClient } from './testing/client.ts';
import { startRegion, type TestRegion } from './testing/region.ts';

const EMPTY_MD5 = '1B2M2Y8AsgTpgAmY7PhCfg==';
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

let region: TestRegion;
let alice: TestClient;
let names = 0;

beforeAll(async () => {
  region = await startRegion();
  alice = await region.account();
});

afterAll(() => region?.close());

const fresh = (root = 'stor') => {
  names += 1;
  return `/${alice.login}/${root}/object${names}`;
};
const md5 = (body: string | Buffer) => createHash('md5').update(body).digest('base64');
const outcome = ({ status, code }: Answer) => (code === undefined ? String(status) : `${status} ${code}`);

/** The path of a new object that holds the alphabet. */
async function anObject(headers = {}, root?: string): Promise<string> {
  const path = fresh(root);
  expect(outcome(await alice.put(path, ALPHABET, headers))).toBe('204');
  return path;
}

describe('PUT of an object', () => {
  it('stores a sized body and gives it back, byte by byte, with its headers', async () => {
    const path = fresh();
    const body = randomBytes(300_000);
    const put = await alice.put(path, body, {
      'content-type': 'image/x-test',
      'content-md5': md5(body),
      'm-color': 'red',
    });
    expect(put.status).toBe(204);
    expect(put.headers.etag).toMatch(UUID);
    expect(put.headers['computed-md5']).toBe(md5(body));
    expect(put.headers['last-modified']).toBeDefined();
    expect(put.headers['content-length']).toBeUndefined();
    expect(put.headers['content-type']).toBeUndefined();

    const got = await alice.request('GET', path);
    expect(got.status).toBe(200);
    expect(got.body.equals(body)).toBe(true);
    expect(got.headers).toMatchObject({
      etag: put.headers.etag,
      'last-modified': put.headers['last-modified'],
      'content-type': 'image/x-test',
      'content-length': String(body.length),
      'content-md5': md5(body),
      'accept-ranges': 'bytes',
      'durability-level': '2',
      'm-color': 'red',
      server: 'Manta',
      'x-server-name': 'webapi',
      'x-response-time': expect.stringMatching(/^\d+$/),
      'x-request-id': expect.stringMatching(UUID),
      date: expect.any(String),
    });
  });

  it('stores a chunked body', async () => {
    const path = fresh();
    const put = await alice.request('PUT', path, { body: ALPHABET, chunked: true });
    expect([outcome(put), put.headers['computed-md5']]).toEqual(['204', md5(ALPHABET)]);
    expect((await alice.request('GET', path)).text).toBe(ALPHABET);
  });

  it.each([
    ['a length of 0', { body: '' }],
    ['an empty chunked body', { body: '', chunked: true }],
  ])('makes an empty object of %s, on no storage node', async (_, options) => {
    const path = fresh();
    const put = await alice.request('PUT', path, options);
    expect([outcome(put), put.headers['computed-md5']]).toEqual(['204', EMPTY_MD5]);
    const got = await alice.request('GET', path, { headers: { range: 'bytes=0-3' } });
    expect(got).toMatchObject({
      status: 200,
      text: '',
      headers: { 'content-length': '0', 'content-md5': EMPTY_MD5, 'durability-level': '0' },
    });
    expect(got.headers['accept-ranges']).toBeUndefined();
  });

  it('waits for nothing but gives 100 when it is asked for, for empty objects too', async () => {
    const path = fresh();
    const headers = { expect: '100-continue' };
    expect(outcome(await alice.request('PUT', path, { body: ALPHABET, headers }))).toBe('204');
    expect(outcome(await alice.request('PUT', path, { body: '', headers }))).toBe('204');
    expect(outcome(await alice.request('PUT', path, { body: ALPHABET, headers, chunked: true }))).toBe('204');
  });

  it('defaults to application/octet-stream and cleans junk types', async () => {
    const typeOf = async (headers: object) => {
      const path = await anObject(headers);
      return (await alice.request('HEAD', path)).headers['content-type'];
    };
    expect(await typeOf({})).toBe('application/octet-stream');
    expect(await typeOf({ 'content-type': 'jpg' })).toBe('image/jpeg');
    expect(await typeOf({ 'content-type': 'argle' })).toBe('application/octet-stream');
  });

  it('issues a new etag for identical bytes, and replaces all metadata', async () => {
    const path = await anObject({ 'm-a': '1', 'content-type': 'text/plain' });
    const before = await alice.request('HEAD', path);
    await alice.put(path, ALPHABET, { 'm-b': '2' });
    const after = await alice.request('HEAD', path);
    expect(after.headers.etag).not.toBe(before.headers.etag);
    expect(after.headers['m-a']).toBeUndefined();
    expect(after.headers).toMatchObject({ 'm-b': '2', 'content-type': 'application/octet-stream' });
  });

  it('stores as many copies as asked for', async () => {
    const levelOf = async (headers: object) =>
      (await alice.request('HEAD', await anObject(headers))).headers['durability-level'];
    expect(await levelOf({ 'durability-level': '1' })).toBe('1');
    expect(await levelOf({ 'x-durability-level': '3' })).toBe('3');
  });

  it('drops user metadata beyond its budget without a word', async () => {
    const path = await anObject({ 'm-a': 'x'.repeat(3000), 'm-b': 'x'.repeat(3000), 'm-c': 'x' });
    const { headers } = await alice.request('HEAD', path);
    expect([headers['m-a']?.length, headers['m-b'], headers['m-c']]).toEqual([3000, undefined, undefined]);
  });

  it('gives back header values as they came, beyond ASCII too', async () => {
    const value = Buffer.from('grüße').toString('latin1');
    const path = await anObject({ 'm-greeting': value });
    expect((await alice.request('GET', path)).headers['m-greeting']).toBe(value);
  });

  it('normalises Content-Disposition and keeps caching headers, but not the encoding', async () => {
    const path = await anObject({
      'content-disposition': 'attachment; filename="/tmp/a.txt"; size=3',
      'cache-control': 'max-age=3600',
      'surrogate-key': 'k1',
      'content-encoding': 'gzip',
    });
    const { headers } = await alice.request('GET', path);
    expect(headers).toMatchObject({
      'content-disposition': 'attachment; filename="a.txt"',
      'cache-control': 'max-age=3600',
      'surrogate-key': 'k1',
    });
    expect(headers['content-encoding']).toBeUndefined();
  });

  it.each(['päth with ümläuts', 'a+b&c=d?e#f', 'quote\'"', '日本語', '%25', '{}|\\^`', '😀'])(
    'takes the name %p',
    async name => {
      const path = `${fresh()}-${encodeURIComponent(name)}`;
      expect(outcome(await alice.put(path, ALPHABET))).toBe('204');
      expect((await alice.request('GET', path)).text).toBe(ALPHABET);
      const list = await alice.request('GET', `/${alice.login}/stor?limit=1024`);
      expect(list.text).toContain(JSON.stringify(`object${names}-${name}`));
    },
  );

  it.each([
    ['a digest of other bytes', { 'content-md5': EMPTY_MD5 }, '400 ContentMD5Mismatch'],
    ['a digest that is none', { 'content-md5': 'junk' }, '400 BadRequest'],
    ['too many copies', { 'durability-level': '10' }, '400 InvalidDurabilityLevel'],
    ['more copies than there are nodes', { 'durability-level': '4' }, '507 NotEnoughSpace'],
    ['an unreadable disposition', { 'content-disposition': 'attachment;' }, '400 BadRequest'],
    ['a role tag', { 'role-tag': 'reader' }, '409 InvalidRoleTag'],
    ['a role', { role: 'reader' }, '409 InvalidRole'],
    ['a condition on what is not there', { 'if-match': '*' }, '412 PreconditionFailed'],
  ])('is refused for %s, and nothing is stored', async (_, headers, expected) => {
    const path = fresh();
    expect(outcome(await alice.put(path, ALPHABET, headers))).toBe(expected);
    expect((await alice.request('HEAD', path)).status).toBe(404);
    expect(await region.temporaries()).toEqual([]);
  });

  it('refuses a length that no node has room for before it reads a byte', async () => {
    const headers = { 'content-length': '1000000000000000', expect: '100-continue' };
    const answer = await alice.request('PUT', fresh(), { headers });
    expect([outcome(answer), JSON.parse(answer.text).message]).toEqual([
      '507 NotEnoughSpace',
      'not enough free space for 953674317 MB',
    ]);
  });

  it('bounds a chunked body by max-content-length', async () => {
    const path = fresh();
    const send = (max: string, body: string) =>
      alice.request('PUT', path, { body, chunked: true, headers: { 'max-content-length': max } });
    expect(outcome(await send('25', ALPHABET))).toBe('413 MaxContentLengthExceeded');
    expect(outcome(await send('-1', ALPHABET))).toBe('400 InvalidMaxContentLength');
    expect((await alice.request('HEAD', path)).status).toBe(404);
    expect(outcome(await send('26', ALPHABET))).toBe('204');
  });

  it('needs a parent that is a directory', async () => {
    const path = await anObject();
    const orphan = await alice.put(`${fresh()}/a/b`, ALPHABET);
    expect([outcome(orphan), JSON.parse(orphan.text).message]).toEqual([
      '404 DirectoryDoesNotExist',
      `/${alice.login}/stor/object${names}/a does not exist`,
    ]);
    const below = await alice.put(`${path}/a`, ALPHABET);
    expect([outcome(below), JSON.parse(below.text).message]).toEqual([
      '400 ParentNotDirectory',
      `${path} is not a directory`,
    ]);
  });

  it('does not replace a directory', async () => {
    const path = fresh();
    await alice.mkdir(path);
    const sized = await alice.put(path, ALPHABET);
    expect([outcome(sized), JSON.parse(sized.text).message]).toEqual([
      '400 InvalidUpdate',
      'overwrite of "content-length" forbidden on a directory',
    ]);
    const chunked = await alice.request('PUT', path, { body: ALPHABET, chunked: true });
    expect(outcome(chunked)).toBe('400 OperationNotAllowedOnDirectory');
  });

  it('does not replace a root', async () => {
    const root = `/${alice.login}/stor`;
    const typed = { 'content-type': 'text/plain' };
    expect(outcome(await alice.put(root, ALPHABET, typed))).toBe('400 OperationNotAllowedOnRootDirectory');
    expect(outcome(await alice.put(root, ALPHABET))).toBe('400 InvalidUpdate');
  });

  it('heeds conditions, and tells the etag of what is there', async () => {
    const path = await anObject();
    const { headers } = await alice.request('HEAD', path);
    const etag = headers.etag ?? '';
    const past = new Date(0).toUTCString();
    const refused = await alice.put(path, 'x', { 'if-match': 'other' });
    expect([outcome(refused), refused.headers.etag]).toEqual(['412 PreconditionFailed', etag]);
    expect(JSON.parse(refused.text).message).toBe(`if-match 'other' didn't match etag '${etag}'`);
    expect(outcome(await alice.put(path, 'x', { 'if-none-match': etag }))).toBe('412 PreconditionFailed');
    expect(outcome(await alice.put(path, 'x', { 'if-match': '""' }))).toBe('412 PreconditionFailed');
    expect(outcome(await alice.put(path, 'x', { 'if-unmodified-since': past }))).toBe('412 PreconditionFailed');
    expect(outcome(await alice.put(path, 'x', { 'if-match': `"${etag}"` }))).toBe('204');
    expect(outcome(await alice.put(fresh(), 'x', { 'if-match': '""' }))).toBe('204');
  });

  it('lets two unconditional writers both succeed', async () => {
    const path = fresh();
    const bodies = Array.from({ length: 8 }, (_, i) => `body ${i}`);
    const answers = await Promise.all(bodies.map(body => alice.put(path, body)));
    expect(answers.map(outcome)).toEqual(bodies.map(() => '204'));
    expect(bodies).toContain((await alice.request('GET', path)).text);
  });

  it('lets one of several conditional creators win', async () => {
    const path = fresh();
    const create = { 'if-none-match': '*' };
    const answers = await Promise.all(Array.from({ length: 6 }, (_, i) => alice.put(path, `body ${i}`, create)));
    const won = answers.filter(answer => answer.status === 204);
    const lost = answers.filter(answer => answer.status !== 204).map(outcome);
    expect(won).toHaveLength(1);
    for (const text of lost) expect(['409 ConcurrentRequest', '412 PreconditionFailed']).toContain(text);
    expect((await alice.request('HEAD', path)).headers.etag).toBe(won[0]?.headers.etag);
  });
});

describe('GET and HEAD of an object', () => {
  it.each([
    ['bytes=0-2', '206', 'abc', 'bytes 0-2/26'],
    ['bytes=0-0', '206', 'a', 'bytes 0-0/26'],
    ['bytes=-5', '206', 'vwxyz', 'bytes 21-25/26'],
    ['bytes=10-', '206', 'klmnopqrstuvwxyz', 'bytes 10-25/26'],
    ['bytes=0-1000', '206', ALPHABET, 'bytes 0-25/26'],
    ['bytes=50-100', '416 RequestedRangeNotSatisfiable', undefined, 'bytes */26'],
    ['bytes=foo', '416 RequestedRangeNotSatisfiable', undefined, 'bytes */26'],
    ['bytes=0-1,3-4', '501 NotImplemented', undefined, undefined],
  ])('answer the range %s with %s', async (range, expected, text, contentRange) => {
    const path = await anObject();
    const answer = await alice.request('GET', path, { headers: { range } });
    expect([outcome(answer), answer.headers['content-range']]).toEqual([expected, contentRange]);
    if (text === undefined) return;
    expect(answer.text).toBe(text);
    expect(answer.headers['content-length']).toBe(String(text.length));
    expect(answer.headers['content-md5']).toBeUndefined();
    expect(answer.headers['accept-ranges']).toBeUndefined();
  });

  it('heed If-Range', async () => {
    const path = await anObject();
    const { headers } = await alice.request('HEAD', path);
    const withCondition = (condition: string) =>
      alice.request('GET', path, { headers: { range: 'bytes=0-1', 'if-range': condition } });
    expect((await withCondition(headers.etag ?? '')).status).toBe(206);
    expect((await withCondition('other')).text).toBe(ALPHABET);
  });

  it('have the same headers; HEAD has no body, no Accept-Ranges, and ignores Range', async () => {
    const path = await anObject({ 'm-x': '1' });
    const got = await alice.request('GET', path);
    const head = await alice.request('HEAD', path, { headers: { range: 'bytes=0-1' } });
    const stable = ({ headers }: Answer) => {
      const { 'x-request-id': _, 'x-response-time': __, 'accept-ranges': ___, date: ____, ...rest } = headers;
      return rest;
    };
    expect([head.status, head.text]).toEqual([200, '']);
    expect(stable(head)).toEqual(stable(got));
    expect(head.headers['accept-ranges']).toBeUndefined();
  });

  it('answer conditions', async () => {
    const path = await anObject();
    const { headers } = await alice.request('HEAD', path);
    const etag = headers.etag ?? '';
    const modified = headers['last-modified'] ?? '';
    const long = new Date(0).toUTCString();
    const ask = async (condition: Record<string, string>) =>
      outcome(await alice.request('GET', path, { headers: condition }));
    expect(await ask({ 'if-match': etag })).toBe('200');
    expect(await ask({ 'if-match': `"${etag}"` })).toBe('200');
    expect(await ask({ 'if-match': 'other' })).toBe('412 PreconditionFailed');
    expect(await ask({ 'if-none-match': etag })).toBe('304');
    expect(await ask({ 'if-modified-since': modified })).toBe('304');
    expect(await ask({ 'if-modified-since': long })).toBe('200');
    expect(await ask({ 'if-unmodified-since': modified })).toBe('200');
    expect(await ask({ 'if-unmodified-since': long })).toBe('412 PreconditionFailed');
    const origin = 'http://b.example';
    await alice.request('PUT', `${path}?metadata=true`, {
      headers: { 'transfer-encoding': 'chunked', 'access-control-allow-origin': '*' },
    });
    const asked = await alice.request('GET', path, { headers: { 'if-none-match': etag, origin } });
    expect(asked).toMatchObject({ status: 304, headers: { 'access-control-allow-origin': origin } });
    const unchanged = await alice.request('GET', path, { headers: { 'if-none-match': etag } });
    expect(unchanged.headers.etag).toBe(etag);
    expect(unchanged.headers['content-length']).toBeUndefined();
    expect(unchanged.headers['content-type']).toBeUndefined();
  });

  it('refuse a type that the client does not accept', async () => {
    const path = await anObject({ 'content-type': 'text/plain' });
    const answer = await alice.request('GET', path, { headers: { accept: 'image/*' } });
    expect([outcome(answer), JSON.parse(answer.text).message]).toEqual([
      '406 NotAcceptable',
      `${path} accepts text/plain`,
    ]);
  });

  it('are 404 where nothing is, without a body on HEAD', async () => {
    const path = fresh();
    const got = await alice.request('GET', path);
    expect([outcome(got), JSON.parse(got.text).message]).toEqual(['404 ResourceNotFound', `${path} was not found`]);
    const head = await alice.request('HEAD', path);
    expect([head.status, head.text, head.headers['content-type']]).toEqual([404, '', 'application/json']);
  });
});

describe('PUT of metadata', () => {
  const update = (path: string, headers = {}) =>
    alice.request('PUT', `${path}?metadata=true`, { body: '', chunked: true, headers });

  it('replaces headers, keeps type, etag, size and digest, and moves the time', async () => {
    const path = await anObject({ 'm-a': '1', 'content-type': 'text/plain', 'content-disposition': 'inline' });
    const before = await alice.request('HEAD', path);
    const answer = await update(path, { 'm-b': '2' });
    expect([outcome(answer), answer.headers.etag]).toEqual(['204', before.headers.etag]);
    expect(answer.headers['computed-md5']).toBeUndefined();
    const after = await alice.request('GET', path);
    expect(after.text).toBe(ALPHABET);
    expect(after.headers['m-a']).toBeUndefined();
    expect(after.headers['content-disposition']).toBeUndefined();
    for (const name of ['etag', 'content-md5', 'content-type', 'durability-level']) {
      expect(after.headers[name]).toBe(before.headers[name]);
    }
    expect(after.headers['last-modified']).toBe(answer.headers['last-modified']);
    await update(path, { 'content-type': 'image/png' });
    expect((await alice.request('HEAD', path)).headers['content-type']).toBe('image/png');
  });

  it('tolerates a length of 0 and a plain PUT, whose digest stays', async () => {
    const path = await anObject();
    const zero = { 'content-length': '0', 'm-a': '1' };
    expect(outcome(await alice.request('PUT', `${path}?metadata=true`, { headers: zero }))).toBe('204');
    expect((await alice.request('HEAD', path)).headers).toMatchObject({
      'm-a': '1',
      'content-md5': md5(ALPHABET),
      'content-length': '26',
    });
  });

  it.each([
    ['content-length', '4'],
    ['content-md5', EMPTY_MD5],
    ['durability-level', '2'],
  ])('refuses %s', async (name, value) => {
    const path = await anObject();
    const options = name === 'content-length' ? { body: 'abcd' } : { headers: { [name]: value } };
    const answer = await alice.request('PUT', `${path}?metadata=true`, options);
    expect([outcome(answer), JSON.parse(answer.text).message]).toEqual([
      '400 InvalidUpdate',
      `overwrite of "${name}" forbidden`,
    ]);
  });

  it('needs the object, and names what is missing', async () => {
    expect(outcome(await update(fresh()))).toBe('404 ResourceNotFound');
    expect(outcome(await update(`${fresh()}/x`))).toBe('404 DirectoryDoesNotExist');
  });

  it('answers conditions', async () => {
    const path = await anObject();
    expect(outcome(await update(path, { 'if-match': 'other' }))).toBe('412 PreconditionFailed');
  });
});

describe('DELETE of an object', () => {
  it('is 204 once, with the headers of what was there, and 404 afterwards', async () => {
    const path = await anObject();
    const { headers } = await alice.request('HEAD', path);
    const answer = await alice.request('DELETE', path);
    expect([outcome(answer), answer.headers.etag, answer.headers['last-modified']]).toEqual([
      '204',
      headers.etag,
      headers['last-modified'],
    ]);
    expect(outcome(await alice.request('DELETE', path))).toBe('404 ResourceNotFound');
    expect((await alice.request('GET', path)).status).toBe(404);
  });

  it('answers conditions', async () => {
    const path = await anObject();
    const unmet = { headers: { 'if-match': 'other' } };
    expect(outcome(await alice.request('DELETE', path, unmet))).toBe('412 PreconditionFailed');
    expect((await alice.request('HEAD', path)).status).toBe(200);
  });

  it('succeeds for one of many at once', async () => {
    const path = await anObject();
    const answers = await Promise.all(Array.from({ length: 5 }, () => alice.request('DELETE', path)));
    expect(answers.map(outcome).sort()).toEqual(['204', ...Array(4).fill('404 ResourceNotFound')]);
  });
});

describe('CORS', () => {
  const ORIGIN = 'http://www.example.com';
  const preflight = (path: string, headers: object, client = alice) =>
    client.request('OPTIONS', path, { headers: { origin: ORIGIN, ...headers } });

  it('opens objects below /public to every origin unless told otherwise', async () => {
    const open = await anObject({}, 'public');
    const headersOf = async (path: string, headers = {}) =>
      (await alice.request('GET', path, { headers, signed: false })).headers;
    expect((await headersOf(open))['access-control-allow-origin']).toBe('*');
    expect((await headersOf(open, { origin: ORIGIN }))['access-control-allow-origin']).toBe(ORIGIN);
    const narrow = await anObject({ 'access-control-allow-origin': 'http://other.example' }, 'public');
    expect((await headersOf(narrow, { origin: ORIGIN }))['access-control-allow-origin']).toBeUndefined();
  });

  it('echoes the origin of a writer', async () => {
    const put = await alice.put(fresh(), 'x', { origin: ORIGIN });
    expect(put.headers['access-control-allow-origin']).toBe(ORIGIN);
  });

  it('answers a preflight from the stored headers, and needs authorisation for it', async () => {
    const path = await anObject({
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-methods': 'GET, DELETE',
      'access-control-allow-headers': 'X-Foo',
      'access-control-max-age': '60',
    });
    const wanted = { 'access-control-request-method': 'GET', 'access-control-request-headers': 'x-foo' };
    const granted = await preflight(path, wanted);
    expect(granted).toMatchObject({
      status: 200,
      headers: {
        'access-control-allow-origin': ORIGIN,
        'access-control-allow-methods': 'GET, DELETE',
        'access-control-allow-headers': 'X-Foo',
        'access-control-max-age': '60',
      },
    });
    const refused = await preflight(path, { 'access-control-request-method': 'HEAD' });
    expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([200, undefined]);
    const nobody = await alice.request('OPTIONS', path, { signed: false });
    expect(outcome(nobody)).toBe('403 AuthorizationFailed');
    expect(outcome(await preflight(fresh(), wanted))).toBe('404 ResourceNotFound');
  });

  it('lets the directory answer for a PUT of what is not there yet', async () => {
    const dir = fresh();
    await alice.request('PUT', dir, {
      headers: {
        'content-type': 'application/json; type=directory',
        'access-control-allow-origin': '*',
        'access-control-allow-methods': 'PUT',
      },
    });
    const answer = await preflight(`${dir}/new`, { 'access-control-request-method': 'PUT' });
    expect([answer.status, answer.headers['access-control-allow-methods']]).toEqual([200, 'PUT']);
    const orphan = await preflight(`${dir}/a/b`, { 'access-control-request-method': 'PUT' });
    expect(outcome(orphan)).toBe('404 DirectoryDoesNotExist');
  });
});
