import { generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { pino } from 'pino';
import { createAccountAdmin } from '../../../lib/auth/account-admin.ts';
import { authMigrations } from '../../../lib/auth/migrations.ts';
import { aKeyPair } from '../../../lib/auth/testing.ts';
import { answerErrors } from '../../../lib/control-server/answer-errors.ts';
import { createPool, type Pool, poolDefaults } from '../../../lib/database/pool.ts';
import { createTestDatabases, type TestDatabases } from '../../../lib/database/testing.ts';
import { systemClock } from '../../../lib/lifecycle/clock.ts';
import { createTokenSigner, createTokenVerifier } from '../../../lib/region-token/region-token.ts';
import { createAdminRouter } from './admin.ts';

const logger = pino({ level: 'silent' });
const regionKey = generateKeyPairSync('ed25519');
const common = { region: 'test', clock: systemClock };
const signer = createTokenSigner({ ...common, subject: 'cli/test', kid: 'k1', privateKey: regionKey.privateKey });
const tokens = createTokenVerifier({
  ...common,
  audience: 'webapi',
  publicKeys: new Map([['k1', regionKey.publicKey]]),
});

let databases: TestDatabases;
let pool: Pool;
let server: Server;
let logins = 0;

beforeAll(async () => {
  databases = await createTestDatabases({ control: [authMigrations] });
  pool = createPool({ logger, clock: systemClock }, databases.control, { ...poolDefaults, name: 'control' });
  const app = express();
  app.use(createAdminRouter({ admin: createAccountAdmin({ pool }), tokens, logger }));
  app.use(answerErrors({ logger }));
  server = createServer(app);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise(resolve => server.close(resolve));
  await pool.close();
  await databases.drop();
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Sends a request to `/admin/v1/accounts<path>`, with a token for it unless another, or none, is given. */
async function ask(
  method: string,
  path: string,
  body?: string | object,
  authorization?: string | null,
): Promise<Answer> {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server does not listen');
  const rawPath = `/admin/v1/accounts${path}`;
  const grant = { audience: 'webapi', operation: 'admin', path: rawPath.split('?')[0] ?? '' };
  const proof = authorization === undefined ? `Bearer ${signer.sign(grant)}` : authorization;
  const response = await fetch(`http://127.0.0.1:${address.port}${rawPath}`, {
    method,
    headers: proof === null ? {} : { authorization: proof },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** Status and code of an error answer. */
async function refusal(answer: Promise<Answer>): Promise<string> {
  const { status, text } = await answer;
  const { code, message } = JSON.parse(text) as { code: string; message: string };
  return `${status} ${code}: ${message}`;
}

async function anAccount(): Promise<string> {
  logins += 1;
  const login = `user${logins}`;
  expect((await ask('PUT', `/${login}`, { email: 'user@example.com' })).status).toBe(201);
  return login;
}

describe('accounts', () => {
  it('are created with 201, changed with 200, and shown whole', async () => {
    const created = await ask('PUT', '/bob', { email: 'bob@example.com', groups: ['operators'] });
    expect(created.status).toBe(201);
    const { uuid } = JSON.parse(created.text) as { uuid: string };
    const changed = await ask('PUT', '/bob', { approved: false, login: 'robert' });
    expect([changed.status, JSON.parse(changed.text)]).toEqual([200, { uuid, login: 'robert' }]);
    const shown = await ask('GET', '/robert');
    expect(shown.headers.get('content-type')).toMatch('application/json');
    expect(JSON.parse(shown.text)).toEqual({
      uuid,
      login: 'robert',
      email: 'bob@example.com',
      approved: false,
      groups: ['operators'],
      snaplinksDisabled: false,
      keys: [],
    });
    expect((await ask('GET', '/bob')).status).toBe(404);
  });

  it('are listed one a line', async () => {
    const made = [await anAccount(), await anAccount()];
    const { headers, text } = await ask('GET', '?x=1');
    expect(headers.get('content-type')).toMatch('application/x-ndjson');
    const lines = text
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as { login: string });
    expect(lines.map(line => line.login)).toEqual(expect.arrayContaining(made));
    expect(Object.keys(lines[0] ?? {})).toEqual(['uuid', 'login', 'approved', 'groups']);
  });

  it('are refused with a code and a message', async () => {
    const login = await anAccount();
    const other = await anAccount();
    expect(await refusal(ask('GET', '/nobody'))).toBe('404 ResourceNotFound: nobody does not exist');
    expect(await refusal(ask('PUT', '/nobody', {}))).toBe('400 InvalidParameter: email: a new account needs one');
    expect(await refusal(ask('PUT', `/${login}`, { email: 'x' }))).toMatch(/^400 InvalidParameter: email: must be/);
    expect(await refusal(ask('PUT', `/${login}`, { colour: 1 }))).toMatch(/^400 InvalidParameter: account: /);
    expect(await refusal(ask('PUT', `/${login}`, { login: other }))).toBe(
      `409 EntityAlreadyExists: ${other} already exists`,
    );
    expect(await refusal(ask('PUT', `/${login}`, '{'))).toBe('400 InvalidContent: the body is not JSON');
    expect(await refusal(ask('PUT', `/${login}`, ' '.repeat(70_000)))).toBe(
      '413 PayloadTooLarge: the body is too long',
    );
    expect(await refusal(ask('GET', '/%ff'))).toBe('400 BadRequest: malformed request');
  });

  it('cannot be deleted', async () => {
    const answer = await ask('DELETE', `/${await anAccount()}`);
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, PUT']);
  });
});

describe('keys', () => {
  it('are put as OpenSSH text and deleted by name, again and again', async () => {
    const login = await anAccount();
    const { openSsh, view } = aKeyPair('ed25519');
    const path = `/${login}/keys/${encodeURIComponent('me@laptop é')}`;
    for (const _again of [1, 2]) {
      const { status, text } = await ask('PUT', path, openSsh);
      expect([status, JSON.parse(text)]).toEqual([
        200,
        {
          name: 'me@laptop é',
          algorithm: 'ed25519',
          md5Fingerprint: view.md5Fingerprint,
          sha256Fingerprint: view.sha256Fingerprint,
        },
      ]);
    }
    expect(JSON.parse((await ask('GET', `/${login}`)).text)).toMatchObject({ keys: [{ name: 'me@laptop é' }] });
    expect((await ask('DELETE', path)).status).toBe(204);
    expect((await ask('DELETE', path)).status).toBe(204);
    expect(JSON.parse((await ask('GET', `/${login}`)).text)).toMatchObject({ keys: [] });
  });

  it('are refused with a reason', async () => {
    const login = await anAccount();
    expect(await refusal(ask('PUT', `/${login}/keys/a`, 'hello'))).toMatch(/^400 InvalidParameter: the public key/);
    expect(await refusal(ask('PUT', `/${login}/keys/a`))).toMatch(/^400 InvalidParameter: the public key/);
    expect(await refusal(ask('PUT', `/${login}/keys/a%2Fb`, aKeyPair('p256').openSsh))).toMatch(
      /^400 InvalidParameter/,
    );
    expect(await refusal(ask('DELETE', '/nobody/keys/a'))).toBe('404 ResourceNotFound: nobody does not exist');
  });
});

describe('what is not there', () => {
  it.each(['/bob/users/x', '/bob/roles/x', '/bob/policies/x', '/bob/revoke-tokens', '/bob/keys', '/bob/', '/'])(
    '%s answers 404',
    async path => {
      expect(await refusal(ask('PUT', path, {}))).toBe(
        `404 ResourceNotFound: /admin/v1/accounts${path} does not exist`,
      );
    },
  );
});

describe('callers', () => {
  const bearer = (grant: { audience?: string; operation?: string; path?: string }) =>
    `Bearer ${signer.sign({ audience: 'webapi', operation: 'admin', path: '/admin/v1/accounts/eve', ...grant })}`;

  it('may prove themselves in X-Manta-Access, where what passes them on keeps Authorization', async () => {
    const { port } = server.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/admin/v1/accounts/eve`;
    const status = async (access: string) => (await fetch(url, { headers: { 'x-manta-access': access } })).status;
    expect(await status(bearer({}))).toBe(404);
    expect(await status(bearer({ path: '/admin/v1/accounts/bob' }))).toBe(403);
    expect(await status('')).toBe(401);
  });

  it.each([
    ['without a token', null, '401 InvalidToken'],
    ['with something else', 'Basic YTpi', '401 InvalidToken'],
    ['with a token for another program', bearer({ audience: 'ops' }), '403 TokenMismatch'],
    ['with a token for another operation', bearer({ operation: 'heartbeat' }), '403 TokenMismatch'],
    ['with a token for another path', bearer({ path: '/admin/v1/accounts/bob' }), '403 TokenMismatch'],
  ])('%s are refused, and nothing happens', async (_title, authorization, expected) => {
    const answer = refusal(ask('PUT', '/eve', { email: 'eve@example.com' }, authorization));
    expect(await answer).toMatch(expected);
    expect((await ask('GET', '/eve')).status).toBe(404);
  });
});
