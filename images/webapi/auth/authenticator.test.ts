import { createSign } from 'node:crypto';
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { accountsOf, aKeyPair, anAccount, type KeyKind, type TestKeyPair } from '../../../lib/auth/testing.ts';
import type { AccountView } from '../../../lib/auth/types.ts';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import { createAuthenticator } from './authenticator.ts';
import type { Credentials } from './types.ts';

type Callback<T> = (error: Error | null, result: T) => void;
type Sign = (text: string, callback: Callback<{ algorithm: string; signature: string }>) => void;

/** The published client's own signing code. */
interface SmartdcAuth {
  privateKeySigner(options: { key: string; user: string; subuser?: string; algorithm?: string }): Sign;
  requestSigner(options: { sign: Sign; mantaSubUser: boolean }): {
    writeDateHeader(): string;
    writeHeader(name: string, value: string): string;
    writeTarget(method: string, target: string): void;
    sign(callback: Callback<string>): void;
  };
}
interface MantaSdk {
  createClient(options: { url: string; user: string; sign: Sign }): {
    signURL(options: Record<string, unknown>, callback: Callback<string>): void;
    close(): void;
  };
}
const require = createRequire(import.meta.url);
// The client still calls what newer versions of Node have taken out of util.
Object.assign(require('node:util'), {
  isArray: Array.isArray,
  isDate: (value: unknown) => value instanceof Date,
  isRegExp: (value: unknown) => value instanceof RegExp,
});
const smartdcAuth: SmartdcAuth = require('smartdc-auth');
const manta: MantaSdk = require('manta');

const NOW = Date.parse('2026-03-01T12:00:00Z');
const HOST = 'manta.example.com:8443';
const TARGET = '/alice/stor/a%20b//c?x=1';

const kinds: readonly KeyKind[] = ['rsa', 'p256', 'p384', 'p521', 'ed25519'];
const keys = new Map(kinds.map(kind => [kind, aKeyPair(kind)]));
const rsa = keyOf('rsa');
const alice = anAccount({ login: 'alice', keys: [...keys.values()].map(pair => pair.view) });
const blocked = anAccount({ login: 'blocked', approved: false, keys: [rsa.view] });
const warden = anAccount({ login: 'warden', approved: false, operator: true, keys: [rsa.view] });

function keyOf(kind: KeyKind): TestKeyPair {
  return keys.get(kind) ?? aKeyPair(kind);
}

function at(nowMs: number) {
  return createAuthenticator({
    accounts: accountsOf(alice, blocked, warden),
    clock: { now: () => nowMs, monotonic: () => nowMs },
  });
}

function request(headers: Credentials['headers'], changes: Partial<Credentials> = {}): Credentials {
  return { method: 'GET', rawTarget: TARGET, headers: { host: HOST, ...headers }, ...changes };
}

/** Parses and authenticates; the login of the caller, or code and message of the refusal. */
async function outcome(credentials: Credentials, nowMs = NOW): Promise<string> {
  const authenticator = at(nowMs);
  try {
    const caller = await authenticator.authenticate(authenticator.parse(credentials));
    return caller.kind === 'account' ? caller.account.login : 'anonymous';
  } catch (error) {
    if (error instanceof MantaError) return `${error.code}: ${error.message}`;
    throw error;
  }
}

interface Signed {
  algorithm?: string;
  keyId?: string;
  date?: string;
  dateHeader?: 'date' | 'x-date';
  list?: string | null;
  signature?: string;
  key?: TestKeyPair;
}

/** A header signature by hand, for what the client library would never send. RSA-SHA256 over the date unless asked. */
function signed(options: Signed = {}): Credentials['headers'] {
  const { algorithm = 'rsa-sha256', dateHeader = 'date', date = new Date(NOW).toUTCString(), key = rsa } = options;
  const { keyId = `/alice/keys/${key.view.md5Fingerprint}`, list = dateHeader } = options;
  const signer = createSign('sha256').update(`${dateHeader}: ${date}`);
  const { signature = signer.sign(key.privateKey, 'base64') } = options;
  const headers = list === null ? '' : `headers="${list}",`;
  const authorization = `Signature keyId="${keyId}",algorithm="${algorithm}",${headers}signature="${signature}"`;
  return { [dateHeader]: date, authorization };
}

describe('a header signature made by the published client', () => {
  const algorithms: ReadonlyArray<readonly [KeyKind, string | undefined]> = [
    // With P-384 it chooses SHA-384 by itself and then refuses to send it.
    ...kinds.filter(kind => kind !== 'p384').map(kind => [kind, undefined] as const),
    ...['rsa-sha1', 'rsa-sha256', 'rsa-sha512'].map(algorithm => ['rsa', algorithm] as const),
    ...['ecdsa-sha256', 'ecdsa-sha512'].map(algorithm => ['p384', algorithm] as const),
  ];
  it.each(algorithms)('is accepted with a key of kind %s and algorithm %s', async (kind, algorithm) => {
    const sign = smartdcAuth.privateKeySigner({
      key: keyOf(kind).privatePem,
      user: 'alice',
      ...(algorithm === undefined ? {} : { algorithm }),
    });
    const signer = smartdcAuth.requestSigner({ sign, mantaSubUser: true });
    const date = signer.writeDateHeader();
    const authorization = await new Promise<string>((resolve, reject) =>
      signer.sign((error, header) => (error === null || error === undefined ? resolve(header) : reject(error))),
    );
    expect(await outcome(request({ date, authorization }), Date.now())).toBe('alice');
  });

  it('may cover the request target and other headers, in the order listed', async () => {
    const sign = smartdcAuth.privateKeySigner({ key: keyOf('p256').privatePem, user: 'alice' });
    const signer = smartdcAuth.requestSigner({ sign, mantaSubUser: true });
    signer.writeTarget('PUT', TARGET);
    signer.writeHeader('host', HOST);
    const date = signer.writeDateHeader();
    const authorization = await new Promise<string>((resolve, reject) =>
      signer.sign((error, header) => (error === null || error === undefined ? resolve(header) : reject(error))),
    );
    const sent = request({ date, authorization }, { method: 'PUT' });
    expect(await outcome(sent, Date.now())).toBe('alice');
    expect(await outcome({ ...sent, rawTarget: `https://${HOST}${TARGET}` }, Date.now())).toBe('alice');
    expect(await outcome({ ...sent, rawTarget: '/alice/stor/a%20b/c?x=1' }, Date.now())).toMatch(/^InvalidSignature/);
    expect(await outcome({ ...sent, headers: { ...sent.headers, host: 'x' } }, Date.now())).toMatch(/^InvalidSig/);
  });
});

describe('a header signature', () => {
  const sha384: ReadonlyArray<readonly [string, KeyKind]> = [
    ['rsa-sha384', 'rsa'],
    ['ecdsa-sha384', 'p384'],
    ['ECDSA-SHA384', 'p256'],
  ];
  it.each(sha384)('is accepted under %s with a key of kind %s', async (algorithm, kind) => {
    const date = new Date(NOW).toUTCString();
    const key = keyOf(kind);
    const signature = createSign('sha384').update(`date: ${date}`).sign(key.privateKey, 'base64');
    expect(await outcome(request(signed({ algorithm, key, signature, date })))).toBe('alice');
  });

  const accepted: Readonly<Record<string, Signed>> = {
    'over x-date by default when it is sent': { dateHeader: 'x-date', list: null },
    'over date by default': { list: null },
    'with an empty header list': { list: '' },
    'with header names in any letter case': { list: 'Date' },
    'under the SHA-256 fingerprint': { keyId: `/alice/keys/${encodeURIComponent(rsa.view.sha256Fingerprint)}` },
    'under the SHA-256 fingerprint unescaped': { keyId: `/alice/keys/${rsa.view.sha256Fingerprint}` },
    '300 s after its date': { date: new Date(NOW - 300_000).toUTCString() },
    '300 s before its date': { date: new Date(NOW + 300_000).toUTCString() },
  };
  it.each(Object.entries(accepted))('is accepted %s', async (_title, options) => {
    expect(await outcome(request(signed(options)))).toBe('alice');
  });

  it('is accepted with spaces around commas, a bare number and the scheme in any letter case', async () => {
    const headers = signed();
    const authorization = String(headers.authorization)
      .replaceAll(',', ' ,  ')
      .replace('Signature ', 'sIGNATURE created=1, ');
    expect(await outcome(request({ ...headers, authorization }))).toBe('alice');
  });

  it('is accepted over date when x-date is sent but not listed', async () => {
    expect(await outcome(request({ ...signed({ list: 'date' }), 'x-date': 'yesterday' }))).toBe('alice');
  });

  it('is accepted over the historic request-line', async () => {
    const date = new Date(NOW).toUTCString();
    const text = `date: ${date}\nGET ${TARGET} HTTP/1.1`;
    const signature = createSign('sha256').update(text).sign(rsa.privateKey, 'base64');
    expect(await outcome(request(signed({ date, list: 'date request-line', signature })))).toBe('alice');
  });

  const start = 'InvalidHeader: Invalid Signature Authorization header: ';
  const refused: Readonly<Record<string, readonly [Signed, string]>> = {
    'without keyId': [{ keyId: '' }, `${start}keyId was not specified`],
    'without algorithm': [{ algorithm: '' }, `${start}algorithm was not specified`],
    'without signature': [{ signature: '' }, `${start}signature was not specified`],
    'with an unknown algorithm': [{ algorithm: 'rsa-md5' }, `${start}rsa-md5 is not supported`],
    'with HMAC': [{ algorithm: 'hmac-sha256' }, `${start}hmac-sha256 is not supported`],
    'over a header that was not sent': [{ list: 'date m-x' }, `${start}m-x was not in the request`],
    'over a name every object has': [{ list: 'date constructor' }, `${start}constructor was not in the request`],
    'that does not cover the date': [{ list: 'host' }, `${start}date was not a signed header`],
    'that lists a header twice': [{ list: 'date host host' }, `${start}a header was listed twice`],
    'with a date nobody can read': [{ date: 'noon' }, `${start}noon is not a date`],
    'with an unreadable date before its disabled algorithm': [
      { date: 'noon', algorithm: 'dsa-sha1' },
      `${start}noon is not a date`,
    ],
    '301 s after its date': [
      { date: new Date(NOW - 301_000).toUTCString(), algorithm: 'dsa-sha1' },
      'RequestExpired: Date header Sun, 01 Mar 2026 11:54:59 GMT is too old',
    ],
    '301 s before its date': [
      { date: new Date(NOW + 301_000).toUTCString(), keyId: 'bad' },
      'RequestExpired: Date header Sun, 01 Mar 2026 12:05:01 GMT is too far in the future',
    ],
    'with DSA': [
      { algorithm: 'dsa-sha1', keyId: 'bad' },
      'InvalidAlgorithm: DSA-SHA1 is not a supported signing algorithm. Supported algorithms are RSA-SHA1, RSA-SHA256, ' +
        'RSA-SHA384, RSA-SHA512, ECDSA-SHA256, ECDSA-SHA384, ECDSA-SHA512, ED25519-SHA512',
    ],
    'with a malformed keyId': [{ keyId: '/nobody/x' }, 'InvalidKeyId: the KeyId token you provided is invalid'],
    'by an unknown account': [
      { keyId: `/nobody/keys/${rsa.view.md5Fingerprint}` },
      'AccountDoesNotExist: nobody does not exist',
    ],
    'by a sub-user': [
      { keyId: `/alice/bob/keys/${rsa.view.md5Fingerprint}` },
      'UserDoesNotExist: alice/bob does not exist',
    ],
    'by a sub-user of an unknown account': [
      { keyId: `/nobody/bob/keys/${rsa.view.md5Fingerprint}` },
      'AccountDoesNotExist: nobody does not exist',
    ],
    'by a blocked account, whatever its key': [
      { keyId: '/blocked/keys/00:11' },
      'AccountBlocked: blocked is not an active account',
    ],
    'by an unknown key': [{ keyId: '/alice/keys/00:11' }, 'KeyDoesNotExist: /alice/keys/00:11 does not exist'],
    'with other bytes': [
      { signature: 'AAAA' },
      'InvalidSignature: The signature we calculated does not match the one you sent',
    ],
    "with an algorithm of another key's type": [
      { algorithm: 'ecdsa-sha256' },
      'InvalidSignature: The signature we calculated does not match the one you sent',
    ],
    'with another digest than named': [
      { algorithm: 'rsa-sha512' },
      'InvalidSignature: The signature we calculated does not match the one you sent',
    ],
  };
  it.each(Object.entries(refused))('is refused %s', async (_title, [options, expected]) => {
    expect(await outcome(request(signed(options)))).toBe(expected);
  });

  it('is accepted from an unapproved operator', async () => {
    expect(await outcome(request(signed({ keyId: `/warden/keys/${rsa.view.md5Fingerprint}` })))).toBe('warden');
  });

  it.each(['keyId="a', 'keyId=a', '="a"', 'key-id="a"', 'keyId="a" algorithm="b"', 'keyId="a";algorithm="b"', 'x'])(
    'is refused when its parameters read %s',
    async parameters => {
      const sent = request({ date: new Date(NOW).toUTCString(), authorization: `Signature ${parameters}` });
      expect(await outcome(sent)).toBe(`${start}bad param format`);
    },
  );

  it('is refused when a parameter comes twice', async () => {
    const headers = signed();
    const authorization = `${headers.authorization},keyId="/alice/keys/00:11"`;
    expect(await outcome(request({ ...headers, authorization }))).toBe(`${start}keyId was specified twice`);
  });
});

describe('the Authorization header', () => {
  it.each([
    ['Basic YTpi', "AuthorizationSchemeNotAllowed: basic is not allowed (use 'signature')"],
    ['Bearer x', "AuthorizationSchemeNotAllowed: bearer is not allowed (use 'signature')"],
    ['Token x', 'InvalidAuthenticationToken: the authentication token you provided is malformed'],
    ['tOKEN x', 'InvalidAuthenticationToken: the authentication token you provided is malformed'],
    ['Signature', 'InvalidHeader: Invalid Authorization header: it names no credentials'],
  ])('%s is answered %s', async (authorization, expected) => {
    expect(await outcome(request({ authorization }))).toBe(expected);
  });

  it('wins over presigned parameters', async () => {
    const rawTarget = `${TARGET}&signature=x&expires=1`;
    expect(await outcome(request(signed(), { rawTarget }))).toBe('alice');
  });

  it('may be missing: the caller is nobody, whatever else the query holds', async () => {
    expect(await outcome(request({}))).toBe('anonymous');
    expect(await outcome(request({}, { rawTarget: '/alice/public/x?signature=&m%zz=%ff&method=PUT' }))).toBe(
      'anonymous',
    );
  });
});

describe('a presigned URL made by the published client', () => {
  const expires = Math.floor(NOW / 1000) + 60;

  async function presigned(kind: KeyKind, options: Record<string, unknown>, algorithm?: string): Promise<string> {
    const sign = smartdcAuth.privateKeySigner({ key: keyOf(kind).privatePem, user: 'alice' });
    const client = manta.createClient({ url: `https://${HOST}`, user: 'alice', sign });
    try {
      return await new Promise((resolve, reject) =>
        client.signURL({ path: '/alice/stor/a', expires, user: 'alice', algorithm, ...options }, (error, url) =>
          error === null || error === undefined ? resolve(url) : reject(error),
        ),
      );
    } finally {
      client.close();
    }
  }

  it.each(kinds)('is accepted with a key of kind %s until it expires', async kind => {
    const rawTarget = await presigned(kind, {});
    expect(await outcome(request({}, { rawTarget }), expires * 1000 + 999)).toBe('alice');
    expect(await outcome(request({}, { rawTarget }), (expires + 1) * 1000)).toBe(
      'InvalidQueryStringAuthentication: request expired',
    );
  });

  it('covers the methods it lists and no other', async () => {
    const rawTarget = await presigned('p256', { method: ['OPTIONS', 'GET', 'PUT'] });
    expect(await outcome(request({}, { rawTarget, method: 'PUT' }))).toBe('alice');
    expect(await outcome(request({}, { rawTarget, method: 'OPTIONS' }))).toBe('alice');
    expect(await outcome(request({}, { rawTarget, method: 'HEAD' }))).toBe(
      'InvalidQueryStringAuthentication: HEAD was not a signed method',
    );
  });

  it('for GET alone does not cover HEAD', async () => {
    const rawTarget = await presigned('p256', {});
    expect(await outcome(request({}, { rawTarget, method: 'HEAD' }))).toMatch(/^InvalidSignature/);
  });

  it('covers names and values of every kind, in the order the client chose', async () => {
    const query = { B: "it's (a) *!", a: 'ü/+ &=?', Z: '', 'key é': '%41', b: '~-._' };
    const rawTarget = await presigned('p256', { query, role: ['x', 'y'], 'role-tag': ['t'] });
    expect(await outcome(request({}, { rawTarget }))).toBe('alice');
    expect(await outcome(request({}, { rawTarget: rawTarget.replace('B=it', 'B=It') }))).toMatch(/^InvalidSignature/);
  });

  it('covers the path as sent and the Host header with its port', async () => {
    const rawTarget = await presigned('p256', { path: '/alice/stor/a é' });
    expect(await outcome(request({}, { rawTarget }))).toBe('alice');
    expect(await outcome(request({}, { rawTarget: rawTarget.replace('%C3%A9', '%c3%a9') }))).toMatch(
      /^InvalidSignature/,
    );
    expect(await outcome(request({ host: 'manta.example.com' }, { rawTarget }))).toMatch(/^InvalidSignature/);
  });

  it.each(['algorithm', 'expires', 'keyId', 'signature'])('is refused without %s', async name => {
    const rawTarget = (await presigned('p256', {})).replace(new RegExp(`([?&])${name}=[^&]*`), '$1');
    expect(await outcome(request({}, { rawTarget }))).toBe(
      `InvalidQueryStringAuthentication: parameters "${name}" are required`,
    );
  });

  const refused: Readonly<Record<string, readonly [from: RegExp, to: string, expected: string]>> = {
    'an expiry that is no integer': [/expires=\d+/, 'expires=9e99', 'expires is invalid'],
    'a negative expiry': [/expires=\d+/, 'expires=-1', 'expires is invalid'],
    'a repeated parameter': [/$/, '&expires=1', 'a query parameter was given more than once'],
    'a parameter nobody can decode': [/$/, '&x=%ff', 'the query string is malformed'],
    'too many parameters': [
      /$/,
      Array.from({ length: 1000 }, (_, i) => `&p${i}`).join(''),
      'more than 1000 query parameters',
    ],
    DSA: [/ECDSA-SHA256/, 'DSA-SHA1', 'DSA-SHA1 is not a supported signing algorithm'],
    'an unknown algorithm': [/ECDSA-SHA256/, 'foo', 'FOO is not a supported signing algorithm'],
  };
  it.each(Object.entries(refused))('is refused with %s', async (_title, [from, to, expected]) => {
    const rawTarget = (await presigned('p256', {})).replace(from, to);
    expect(await outcome(request({}, { rawTarget }))).toBe(`InvalidQueryStringAuthentication: ${expected}`);
  });

  it('is refused with a malformed keyId', async () => {
    const rawTarget = (await presigned('p256', {})).replace(/keyId=[^&]*/, 'keyId=alice');
    expect(await outcome(request({}, { rawTarget }))).toBe('InvalidKeyId: the KeyId token you provided is invalid');
  });

  it('is accepted with a far expiry', async () => {
    const rawTarget = await presigned('p256', { expires: 9_007_199_254_740_991 });
    expect(await outcome(request({}, { rawTarget }))).toBe('alice');
  });
});

describe('a presigned URL', () => {
  it('is accepted with its names in byte order and in locale order, and in no other', async () => {
    const expires = Math.floor(NOW / 1000);
    const fixed = {
      algorithm: 'rsa-sha256',
      expires: String(expires),
      keyId: encodeURIComponent(`/alice/keys/${rsa.view.md5Fingerprint}`),
    };
    const pairs: Readonly<Record<string, string>> = { ...fixed, Zebra: '1', apple: '2' };
    const orders: ReadonlyArray<readonly [readonly string[], boolean]> = [
      [['Zebra', 'algorithm', 'apple', 'expires', 'keyId'], true],
      [['algorithm', 'apple', 'expires', 'keyId', 'Zebra'], true],
      [['apple', 'algorithm', 'expires', 'keyId', 'Zebra'], false],
    ];
    for (const [names, expected] of orders) {
      const query = names.map(name => `${name}=${pairs[name]}`).join('&');
      const text = `GET\n${HOST}\n/alice/stor/a\n${query}`;
      const signature = encodeURIComponent(createSign('sha256').update(text).sign(rsa.privateKey, 'base64'));
      const answer = await outcome(request({}, { rawTarget: `/alice/stor/a?${query}&signature=${signature}` }));
      expect(answer === 'alice').toBe(expected);
    }
  });
});

describe('parse', () => {
  it('answers any header and any target with credentials or a MantaError of the catalogue', () => {
    const allowed = new Set([
      'InvalidHeader',
      'RequestExpired',
      'AuthorizationSchemeNotAllowed',
      'InvalidAuthenticationToken',
      'InvalidAlgorithm',
      'InvalidKeyId',
      'InvalidQueryStringAuthentication',
    ]);
    const pieces = fc.constantFrom(
      'Signature ',
      'keyId=',
      'algorithm="rsa-sha1"',
      'signature="AA"',
      ',',
      '"',
      '=',
      ' ',
      'x',
    );
    const header = fc.oneof(
      fc.string(),
      fc.array(pieces).map(parts => parts.join('')),
    );
    const names = fc.constantFrom(
      'expires=9999999999',
      'signature=AA',
      'keyId=%2Fa%2Fkeys%2Fb',
      'algorithm=rsa-sha1',
      '%ff',
    );
    const target = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(names).map(parts => `/a?${parts.join('&')}`),
    );
    fc.assert(
      fc.property(fc.option(header, { nil: undefined }), target, fc.string(), (authorization, rawTarget, date) => {
        try {
          at(NOW).parse(request({ authorization, date }, { rawTarget }));
        } catch (error) {
          expect(error).toBeInstanceOf(MantaError);
          expect(allowed).toContain((error as MantaError).code);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('loadOwner', () => {
  const callerOf = (account: AccountView) => ({ kind: 'account', account }) as const;

  it('finds the account in the path', async () => {
    expect(await at(NOW).loadOwner('alice', { kind: 'anonymous' })).toBe(alice);
  });

  it('refuses an unknown account', async () => {
    await expect(at(NOW).loadOwner('nobody', callerOf(alice))).rejects.toMatchObject({
      code: 'AccountDoesNotExist',
      message: 'nobody does not exist',
    });
  });

  it('refuses a blocked account to all but operators, and never a blocked operator', async () => {
    const refusal = { code: 'AccountBlocked', message: 'blocked is not an active account' };
    await expect(at(NOW).loadOwner('blocked', { kind: 'anonymous' })).rejects.toMatchObject(refusal);
    await expect(at(NOW).loadOwner('blocked', callerOf(alice))).rejects.toMatchObject(refusal);
    expect(await at(NOW).loadOwner('blocked', callerOf(warden))).toBe(blocked);
    expect(await at(NOW).loadOwner('warden', { kind: 'anonymous' })).toBe(warden);
  });
});
