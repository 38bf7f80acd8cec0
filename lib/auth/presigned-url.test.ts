import fc from 'fast-check';
import { MantaError } from '../errors/manta-error.ts';
import { isPresigned, parsePresignedUrl } from './presigned-url.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const EXPIRES = String(NOW / 1000);
const FIXED = { algorithm: 'RSA-SHA256', keyId: '/alice/keys/aa', expires: EXPIRES };

/** As RFC 3986 wants it: everything but its unreserved characters. */
function encode(text: string): string {
  return [...Buffer.from(text)]
    .map(byte => String.fromCharCode(byte))
    .map(c => (/[A-Za-z0-9_.~-]/.test(c) ? c : `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`))
    .join('');
}

function queryOf(pairs: Readonly<Record<string, string>>, compare: (a: string, b: string) => number): string {
  return Object.entries(pairs)
    .sort(([a], [b]) => compare(a, b))
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .join('&');
}

const text = fc.string({ unit: 'grapheme' });
const reserved = ['signature', 'method', ...Object.keys(FIXED)];
const extra = fc.dictionary(
  text.filter(name => !reserved.includes(name)),
  text,
  { noNullPrototype: true },
);

describe('parsePresignedUrl', () => {
  it('rebuilds what clients signed, whether they sort by bytes or by locale', () => {
    const target = '/alice/stor//a%20b';
    const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
    const byLocale = (a: string, b: string) => a.localeCompare(b, 'en');
    fc.assert(
      fc.property(
        extra,
        fc.constantFrom(byBytes, byLocale),
        fc.uint8Array({ minLength: 1 }),
        (more, compare, bytes) => {
          const query = queryOf({ ...more, ...FIXED, method: 'PUT,GET' }, compare);
          const signature = Buffer.from(bytes).toString('base64');
          const request = {
            method: 'PUT',
            host: 'manta.example.com:81',
            target: `${target}?${query}&signature=${encode(signature)}`,
          };
          const claim = parsePresignedUrl(request, NOW);
          expect(claim.signingStrings).toContain(`GET,PUT\nmanta.example.com:81\n${target}\n${query}`);
          expect(claim.signature.toString('base64')).toBe(signature);
          expect(claim).toMatchObject({ algorithm: 'rsa-sha256', keyId: { account: 'alice', fingerprint: 'aa' } });
        },
      ),
    );
  });

  it.each([
    ['&x=1&x=2&method=PUT', 'a query parameter was given more than once'],
    ['&method=PUT&algorithm=', 'GET was not a signed method'],
    ['&expires=1&algorithm=&keyId=', 'parameters "algorithm, keyId, signature" are required'],
    ['&expires=1&algorithm=foo&keyId=x&signature=AA', 'request expired'],
    ['&expires=1.5&algorithm=foo&keyId=x&signature=AA', 'expires is invalid'],
    [`&expires=${EXPIRES}&algorithm=foo&keyId=x&signature=AA`, 'FOO is not a supported signing algorithm'],
    [`&expires=${EXPIRES}&algorithm=rsa-sha1&keyId=x&signature=AA`, 'the KeyId token you provided is invalid'],
  ])('of several faults in %s answers the first', (query, message) => {
    const request = { method: 'GET', host: '', target: `/a?${query}` };
    expect(() => parsePresignedUrl(request, NOW)).toThrow(message);
  });

  it('takes a plus sign for a space, as forms encode it', () => {
    const target = `/a?${queryOf({ ...FIXED, x: 'a b' }, () => 0).replace('a%20b', 'a+b')}&signature=AA`;
    const [signed] = parsePresignedUrl({ method: 'GET', host: '', target }, NOW).signingStrings;
    expect(signed).toMatch(/&x=a%20b$/);
  });

  it('answers any target with a claim or a MantaError', () => {
    const parts = fc.constantFrom(
      `expires=${EXPIRES}`,
      'signature=AA',
      'keyId=%2Fa%2Fkeys%2Fb',
      'algorithm=rsa-sha1',
      '%ff',
      '=',
    );
    const target = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(parts).map(list => `/a?${list.join('&')}`),
    );
    fc.assert(
      fc.property(target, any => {
        isPresigned(any);
        try {
          parsePresignedUrl({ method: 'GET', host: '', target: any }, NOW);
        } catch (error) {
          expect(error).toBeInstanceOf(MantaError);
        }
      }),
    );
  });
});

describe('isPresigned', () => {
  it.each([
    ['/a?expires=1', true],
    ['/a?x=%ff&algorithm=y', true],
    ['/a?key%49d=z', true],
    ['/a?signature=', false],
    ['/a?expires', false],
    ['/a?method=GET&role=x', false],
    ['/a?Signature=x', false],
    ['/expires=1', false],
  ])('of %s is %s', (target, expected) => {
    expect(isPresigned(target)).toBe(expected);
  });
});
