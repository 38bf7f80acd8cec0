import { request as httpRequest, type OutgoingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { aKeyPair, type KeyKind, type TestKeyPair } from '../../lib/auth/testing.ts';
import { type Answer, signText, type TestClient } from './testing/client.ts';
import { startRegion, type TestRegion } from './testing/region.ts';

let region: TestRegion;
let alice: TestClient;
let bob: TestClient;
let operator: TestClient;
let blocked: TestClient;
const pair = aKeyPair('p256');

beforeAll(async () => {
  region = await startRegion();
  alice = await region.account({ pair });
  bob = await region.account();
  operator = await region.account({ change: { groups: ['operators'] } });
  blocked = await region.account({ change: { approved: false } });
  await alice.mkdir(`/${alice.login}/stor/dir`);
  await alice.put(`/${alice.login}/stor/dir/x`, 'private');
  await alice.put(`/${alice.login}/public/x`, 'public');
});

afterAll(() => region?.close());

const outcome = ({ status, code }: Answer) => (code === undefined ? String(status) : `${status} ${code}`);
const message = ({ text }: Answer) => (JSON.parse(text) as { message: string }).message;
const privatePath = () => `/${alice.login}/stor/dir/x`;
const publicPath = () => `/${alice.login}/public/x`;

describe('who may do what', () => {
  it.each<[string, () => TestClient, boolean, string]>([
    ['the owner', () => alice, true, '200'],
    ['an operator', () => operator, true, '200'],
    ['another account', () => bob, true, '403 AuthorizationFailed'],
    ['nobody', () => alice, false, '403 AuthorizationFailed'],
    ['a blocked account', () => blocked, true, '403 AccountBlocked'],
  ])('%s reads a private object: %s', async (_, client, signed, expected) => {
    expect(outcome(await client().request('GET', privatePath(), { signed }))).toBe(expected);
  });

  it('names who was refused, and where', async () => {
    expect(message(await bob.request('GET', privatePath()))).toBe(
      `${bob.login} is not allowed to access ${privatePath()}`,
    );
    expect(message(await bob.request('GET', privatePath(), { signed: false }))).toBe(
      `anonymous is not allowed to access ${privatePath()}`,
    );
  });

  it('everybody reads and lists /public, and only the owner and operators write there', async () => {
    const listing = `/${alice.login}/public`;
    expect((await bob.request('GET', publicPath(), { signed: false })).text).toBe('public');
    expect((await bob.request('GET', publicPath())).text).toBe('public');
    expect(outcome(await bob.request('HEAD', listing, { signed: false }))).toBe('200');
    expect(outcome(await bob.request('OPTIONS', publicPath(), { signed: false }))).toBe('200');
    expect(outcome(await bob.put(publicPath(), 'x'))).toBe('403 AuthorizationFailed');
    expect(outcome(await bob.request('DELETE', publicPath(), { signed: false }))).toBe('403 AuthorizationFailed');
    expect(outcome(await operator.put(`${listing}/by-operator`, 'x'))).toBe('204');
  });

  it('a missing entry is 404 before permission is asked for', async () => {
    expect(outcome(await bob.request('GET', `/${alice.login}/stor/nothing`))).toBe('404 ResourceNotFound');
    expect(outcome(await bob.put(`/${alice.login}/stor/no/thing`, 'x'))).toBe('404 DirectoryDoesNotExist');
    expect(outcome(await bob.put(`/${alice.login}/stor/thing`, 'x'))).toBe('403 AuthorizationFailed');
  });

  it('an account in the path that is unknown or blocked is 403', async () => {
    const unknown = await alice.request('GET', '/nobody/stor');
    expect([outcome(unknown), message(unknown)]).toEqual(['403 AccountDoesNotExist', 'nobody does not exist']);
    expect(outcome(await alice.request('GET', `/${blocked.login}/stor`))).toBe('403 AccountBlocked');
    expect(outcome(await operator.request('GET', `/${blocked.login}/stor`))).toBe('200');
    const uuid = await alice.request('GET', '/930896af-bf8c-48d4-885c-6573a94b1853/stor');
    expect(outcome(uuid)).toBe('404 ResourceNotFound');
  });
});

describe('signatures', () => {
  it.each<KeyKind>(['rsa', 'p256', 'p384', 'ed25519'])('of a %s key are accepted', async kind => {
    const client = await region.account({ kind });
    expect(outcome(await client.request('GET', `/${client.login}/stor`))).toBe('200');
  });

  it.each([
    [-299_000, '200'],
    [299_000, '200'],
    [-302_000, '400 RequestExpired'],
    [302_000, '400 RequestExpired'],
  ])('whose date is %i ms off get %s', async (dateOffsetMs, expected) => {
    expect(outcome(await alice.request('GET', privatePath(), { dateOffsetMs }))).toBe(expected);
  });

  it('of a key that the account does not have name the key', async () => {
    const answer = await region.stranger(alice.login).request('GET', privatePath());
    expect([outcome(answer), message(answer)]).toEqual([
      '403 KeyDoesNotExist',
      expect.stringMatching(new RegExp(`^/${alice.login}/keys/[0-9a-f:]+ does not exist$`)),
    ]);
  });

  it.each([
    ['Basic YWxpY2U6eA==', '403 AuthorizationSchemeNotAllowed'],
    ['Signature', '400 InvalidHeader'],
    ['Signature keyId="/a/keys/b"', '400 InvalidHeader'],
    ['Token x', '403 InvalidAuthenticationToken'],
    ['Signature keyId="/a/keys/b",algorithm="dsa-sha1",signature="eA=="', '401 InvalidAlgorithm'],
    ['Signature keyId="/a/keys/b",algorithm="rsa-md5",signature="eA=="', '400 InvalidHeader'],
    ['Signature keyId="/a/b",algorithm="rsa-sha256",signature="eA=="', '403 InvalidKeyId'],
    ['Signature keyId="/nobody/keys/b",algorithm="rsa-sha256",signature="eA=="', '403 AccountDoesNotExist'],
  ])('%s are refused with %s', async (authorization, expected) => {
    const headers = { authorization, date: new Date().toUTCString() };
    expect(outcome(await alice.request('GET', privatePath(), { signed: false, headers }))).toBe(expected);
  });

  it('of other bytes, of a user, or in another letter case of the scheme are told apart', async () => {
    const { date, authorization } = alice.credentials();
    const ask = (changed: string) =>
      alice.request('GET', privatePath(), { signed: false, headers: { date, authorization: changed } });
    expect(outcome(await ask(authorization.replace(/signature=".{8}/, 'signature="AAAAAAAA')))).toBe(
      '403 InvalidSignature',
    );
    expect(outcome(await ask(authorization.replace(`/${alice.login}/`, `/${alice.login}/sub/`)))).toBe(
      '403 UserDoesNotExist',
    );
    expect(outcome(await ask(authorization.replace('Signature', 'SIGNATURE')))).toBe('200');
  });

  it('may cover the raw target, however it is written', async () => {
    const target = `/${alice.login}//stor/dir/%78?x=%2F`;
    const { date } = alice.credentials();
    const signature = signText(`date: ${date}\n(request-target): get ${target}`, pair.privateKey);
    const keyId = `/${alice.login}/keys/${pair.view.sha256Fingerprint}`;
    const authorization = `Signature keyId="${keyId}",algorithm="ecdsa-sha256",headers="date (request-target)",signature="${signature}"`;
    const answer = await alice.request('GET', target, { signed: false, headers: { date, authorization } });
    expect([outcome(answer), answer.text]).toEqual(['200', 'private']);
  });
});

describe('presigned URLs', () => {
  const host = () => new URL(region.url).host;

  function presign(
    method: string,
    path: string,
    changes: Record<string, string | undefined> = {},
    key: TestKeyPair = pair,
  ) {
    const parameters: Record<string, string> = {};
    const all: Record<string, string | undefined> = {
      algorithm: 'ecdsa-sha256',
      expires: String(Math.floor(Date.now() / 1000) + 60),
      keyId: `/${alice.login}/keys/${key.view.md5Fingerprint}`,
      ...changes,
    };
    for (const name of Object.keys(all).sort()) {
      const value = all[name];
      if (value !== undefined) parameters[name] = value;
    }
    const query = Object.entries(parameters)
      .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
      .join('&');
    const text = [method, host(), path, query].join('\n');
    return `${path}?${query}&signature=${encodeURIComponent(signText(text, key.privateKey))}`;
  }

  const open = (method: string, url: string, options = {}) => alice.request(method, url, { signed: false, ...options });

  it('open one object for the methods they were signed for', async () => {
    const url = presign('GET', privatePath());
    expect((await open('GET', url)).text).toBe('private');
    expect((await open('HEAD', url)).status).toBe(403);
    const both = presign('GET,HEAD', privatePath(), { method: 'GET,HEAD' });
    expect((await open('HEAD', both)).status).toBe(200);
  });

  it('let others upload, but not with role tags or roles', async () => {
    const path = `/${alice.login}/stor/dir/uploaded`;
    expect(outcome(await open('PUT', presign('PUT', path), { body: 'x' }))).toBe('204');
    const tagged = presign('PUT', path, { 'role-tag': 'a' });
    expect(outcome(await open('PUT', tagged, { body: 'x' }))).toBe('409 InvalidRoleTag');
    expect(outcome(await open('PUT', presign('PUT', path, { role: 'a' }), { body: 'x' }))).toBe('409 InvalidRole');
    const headers = { role: 'a', 'role-tag': 'a' };
    expect(outcome(await open('PUT', presign('PUT', path), { body: 'x', headers }))).toBe('204');
  });

  it.each<[string, () => string, string]>([
    ['that have expired', () => presign('GET', privatePath(), { expires: '1' }), 'request expired'],
    ['that miss a parameter', () => presign('GET', privatePath(), { expires: undefined }), 'parameters "expires"'],
    ['of another method', () => presign('PUT', privatePath(), { method: 'PUT' }), 'GET was not a signed method'],
  ])('%s are refused', async (_, url, expected) => {
    const answer = await open('GET', url());
    expect(outcome(answer)).toBe('403 InvalidQueryStringAuthentication');
    expect(message(answer)).toContain(expected);
  });

  it('of another path are refused', async () => {
    const url = presign('GET', privatePath()).replace('/dir/x', '/dir/y');
    await alice.put(`/${alice.login}/stor/dir/y`, 'y');
    expect(outcome(await open('GET', url))).toBe('403 InvalidSignature');
  });
});

describe('snaplinks', () => {
  const link = (client: TestClient, path: string, location?: string, headers: OutgoingHttpHeaders = {}) =>
    client.request('PUT', path, {
      headers: {
        'content-type': 'application/json; type=link',
        ...(location === undefined ? {} : { location }),
        ...headers,
      },
    });
  const target = (name: string) => `/${alice.login}/stor/dir/link-${name}`;

  it('give the data a second name that outlives the first', async () => {
    const source = `/${alice.login}/stor/dir/source%20a`;
    const { headers } = await alice.put(source, 'linked', { 'm-a': '1', 'content-type': 'text/plain' });
    const made = await link(alice, target('a'), `${region.url}${source}`);
    expect([outcome(made), made.headers.etag, made.headers['last-modified']]).toEqual([
      '204',
      headers.etag,
      headers['last-modified'],
    ]);
    expect(outcome(await link(alice, target('b'), target('a')))).toBe('204');
    expect(outcome(await alice.request('DELETE', source))).toBe('204');
    await alice.put(target('a'), 'other');
    const got = await alice.request('GET', target('b'));
    expect(got).toMatchObject({
      text: 'linked',
      headers: { etag: headers.etag, 'm-a': '1', 'content-type': 'text/plain', 'content-md5': headers['computed-md5'] },
    });
  });

  it('overwrite objects, and onto themselves change nothing', async () => {
    await alice.put(target('c'), 'old');
    expect(outcome(await link(alice, target('c'), privatePath()))).toBe('204');
    expect((await alice.request('GET', target('c'))).text).toBe('private');
    expect(outcome(await link(alice, privatePath(), privatePath()))).toBe('204');
  });

  it('test conditions on the source', async () => {
    const { headers } = await alice.request('HEAD', privatePath());
    const unmet = await link(alice, target('d'), privatePath(), { 'if-match': 'other' });
    expect(outcome(unmet)).toBe('412 PreconditionFailed');
    expect(outcome(await link(alice, target('d'), privatePath(), { 'if-match': headers.etag ?? '' }))).toBe('204');
  });

  it.each<[string, () => string | undefined, string]>([
    ['no source', () => undefined, '400 LocationRequired'],
    ['a source that is no path', () => 'junk', '400 InvalidLink'],
    ['a source with dots', () => `/${alice.login}/stor/../x`, '400 InvalidLink'],
    ['a source outside the trees', () => `/${alice.login}/uploads/x`, '400 InvalidLink'],
    ['a source of an unknown account', () => '/nobody/stor/x', '404 SourceObjectNotFound'],
    ['a missing source', () => `/${alice.login}/stor/nothing`, '404 SourceObjectNotFound'],
    ['a directory as source', () => `/${alice.login}/stor/dir`, '400 LinkNotObject'],
    ['a root as source', () => `/${alice.login}/stor`, '400 LinkNotObject'],
  ])('are refused for %s', async (_, location, expected) => {
    expect(outcome(await link(alice, target('e'), location()))).toBe(expected);
  });

  it('are refused where the target cannot be, and beside a missing directory', async () => {
    expect(outcome(await link(alice, `/${alice.login}/stor`, privatePath()))).toBe(
      '400 OperationNotAllowedOnRootDirectory',
    );
    expect(outcome(await link(alice, `/${alice.login}/stor/dir`, privatePath()))).toBe(
      '400 OperationNotAllowedOnDirectory',
    );
    expect(outcome(await link(alice, `${target('none')}/x`, privatePath()))).toBe('404 DirectoryDoesNotExist');
    expect(outcome(await link(alice, `${privatePath()}/x`, privatePath()))).toBe('400 ParentNotDirectory');
  });

  it('need permission on the source; the refusal names the account of the target', async () => {
    const own = `/${bob.login}/stor/stolen`;
    const refused = await link(bob, own, privatePath());
    expect([outcome(refused), message(refused)]).toEqual([
      '403 AuthorizationFailed',
      `${bob.login} is not allowed to access ${privatePath()}`,
    ]);
    expect(outcome(await link(bob, own, publicPath()))).toBe('204');
    expect((await bob.request('GET', own)).text).toBe('public');
    expect(outcome(await link(bob, target('f'), own))).toBe('403 AuthorizationFailed');
  });

  it('can be disabled for an account, as caller and as owner of the source', async () => {
    const carol = await region.account({ change: { snaplinksDisabled: true } });
    const source = `/${carol.login}/public/x`;
    await carol.put(source, 'x');
    const own = await link(carol, `/${carol.login}/stor/x`, source);
    expect([outcome(own), message(own)]).toEqual([
      '403 SnaplinksDisabledError',
      'snaplinks have been disabled for this account',
    ]);
    const foreign = await link(alice, target('g'), source);
    expect([outcome(foreign), message(foreign)]).toEqual([
      '403 SnaplinksDisabledError',
      'owner of source object has snaplinks disabled',
    ]);
  });
});

describe('answers', () => {
  it('carry the same headers when they are errors, and a JSON body of a code and a message', async () => {
    const answer = await alice.request('GET', '/alice/nowhere/x', { headers: { 'x-request-id': 'my-request' } });
    expect(JSON.parse(answer.text)).toEqual({
      code: 'ResourceNotFound',
      message: '/alice/nowhere/x does not exist',
    });
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': String(answer.body.length),
      'content-md5': expect.stringMatching(/^.{22}==$/),
      'x-request-id': 'my-request',
      'x-response-time': expect.any(String),
      'x-server-name': 'webapi',
      server: 'Manta',
      date: expect.any(String),
    });
  });

  it.each([['a b'], [''], ['x'.repeat(129)]])('do not echo the request id %p', async id => {
    const { headers } = await alice.request('GET', '/ping', { headers: { 'x-request-id': id } });
    expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('tell the methods that a path knows', async () => {
    const answer = await alice.request('PATCH', privatePath());
    expect([outcome(answer), message(answer), answer.headers.allow]).toEqual([
      '405 MethodNotAllowed',
      'PATCH is not allowed',
      'GET, HEAD, PUT, DELETE, OPTIONS',
    ]);
  });

  it('refuse a path before anything else', async () => {
    const answer = await alice.request('GET', '/nobody/stor/%ff', { headers: { authorization: 'Basic x' } });
    expect([outcome(answer), message(answer)]).toEqual(['400 InvalidResource', '"/nobody/stor/%ff" is invalid']);
  });

  it.each([
    ['POST', 'jobs'],
    ['GET', 'jobs?state=running'],
    ['POST', 'uploads'],
    ['HEAD', 'uploads/930896af-bf8c-48d4-885c-6573a94b1853'],
    ['POST', 'tokens'],
  ])('say that %s /:account/%s does not exist here', async (method, path) => {
    const answer = await alice.request(method, `/${alice.login}/${path}`);
    expect(answer.status).toBe(404);
    if (method !== 'HEAD') expect(answer.code).toBe('ResourceNotFound');
  });

  it('to /ping are empty', async () => {
    expect(await alice.request('GET', '/ping', { signed: false })).toMatchObject({ status: 200, text: '' });
  });
});

describe('the request record', () => {
  const records = (id: string) => region.log.filter(line => line.audit === true && line.req_id === id);

  it('tells who did what to whom, without a credential', async () => {
    const url = `${privatePath()}?signature=secret&x=1`;
    await alice.request('GET', url, { headers: { 'x-request-id': 'record-1' } });
    const [record] = records('record-1');
    expect(record).toMatchObject({
      schema: 'request/2',
      operation: 'getstorage',
      billable_operation: 'GET',
      req: {
        method: 'GET',
        url: `${privatePath()}?signature=…&x=1`,
        caller: { login: alice.login, user: null },
        owner: expect.any(String),
        headers: { authorization: expect.stringMatching(/^Signature keyId="[^"]+"$/) },
      },
      authz: { via: 'owner' },
      res: { statusCode: 200 },
      bytesIn: '0',
      bytesOut: '7',
      remoteAddress: '127.0.0.1',
      storageNodes: [expect.stringMatching(/stor\.test$/)],
    });
  });

  it('is written for refused requests and lists, counted in order, and not for /ping', async () => {
    await alice.request('GET', '/ping', { headers: { 'x-request-id': 'record-2' } });
    await bob.request('GET', privatePath(), { headers: { 'x-request-id': 'record-3' } });
    await alice.request('GET', `/${alice.login}/stor`, { headers: { 'x-request-id': 'record-4' } });
    expect(records('record-2')).toEqual([]);
    const [refused] = records('record-3');
    expect(refused).toMatchObject({ res: { statusCode: 403 }, err: { code: 'AuthorizationFailed' } });
    const [listed] = records('record-4');
    expect(listed).toMatchObject({ billable_operation: 'LIST', seq: Number(refused?.seq) + 1 });
  });
});

describe('the control port', () => {
  const ask = (path: string) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      httpRequest(`${region.internalUrl}${path}`, { agent: false }, response => {
        buffer(response).then(body => resolve({ status: response.statusCode ?? 0, text: body.toString() }), reject);
      })
        .on('error', reject)
        .end();
    });

  it('tells that webapi lives and is ready, and its metrics', async () => {
    expect((await ask('/livez')).status).toBe(200);
    expect((await ask('/readyz')).status).toBe(200);
    await alice.request('GET', privatePath());
    expect((await ask('/metrics')).text).toContain('manta_webapi_requests_total{operation="getstorage",status="200"}');
  });

  it('administers accounts only for those who prove themselves', async () => {
    expect((await ask('/admin/v1/accounts')).status).toBe(401);
    expect((await ask('/nothing')).status).toBe(404);
  });
});
