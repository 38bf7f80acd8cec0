import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { codeOf } from '../errors/manta-error.ts';
import { createTokenSigner, createTokenVerifier, type Grant, signNodeToken } from './region-token.ts';

const nowMs = 1_800_000_000_000;
const clockAt = (ms: number) => ({ now: () => ms, monotonic: () => ms });
const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const stranger = generateKeyPairSync('ed25519');

const signer = createTokenSigner({ region: 'r', subject: 'webapi/1', kid: 'k1', privateKey, clock: clockAt(nowMs) });
const verifierAt = (ms: number, changes: Partial<Parameters<typeof createTokenVerifier>[0]> = {}) =>
  createTokenVerifier({
    region: 'r',
    audience: 'storage/1.stor.r',
    publicKeys: new Map([['k1', publicKey]]),
    clock: clockAt(ms),
    ...changes,
  });

const grant: Grant = {
  audience: 'storage/1.stor.r',
  operation: 'get',
  path: '/a/b',
  requestId: 'q',
  delivery: { status: 206, sizeBytes: 100, range: [3, 9], headers: { etag: 'x', 'm-ü': 'ü' } },
};
const expected = { operation: 'get', path: '/a/b' };
const bearer = (token: string) => `Bearer ${token}`;

function codeFrom(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

describe('a region token', () => {
  it('arrives with everything that was signed', () => {
    const claims = verifierAt(nowMs).verify(bearer(signer.sign(grant)), expected);
    expect(claims).toEqual({ ...grant, subject: 'webapi/1', issuedAtS: nowMs / 1000, expiresAtS: nowMs / 1000 + 60 });
  });

  it.each([
    ['nothing', undefined],
    ['another scheme', `Basic ${signer.sign(grant)}`],
    ['two parts', 'Bearer a.b'],
    ['not JSON', 'Bearer YQ.YQ.YQ'],
  ])('is refused as InvalidToken when there is %s', (_, authorization) => {
    expect(codeFrom(() => verifierAt(nowMs).verify(authorization, expected))).toBe('InvalidToken');
  });

  it('is refused from 66 seconds on, and accepted until then', () => {
    const token = bearer(signer.sign(grant));
    expect(codeFrom(() => verifierAt(nowMs + 65_000).verify(token, expected))).toBeUndefined();
    expect(codeFrom(() => verifierAt(nowMs + 66_000).verify(token, expected))).toBe('InvalidToken');
  });

  it('is refused when it is valid for longer than its operation allows', () => {
    const token = bearer(signer.sign(grant, { lifetimeS: 61 }));
    expect(codeFrom(() => verifierAt(nowMs).verify(token, expected))).toBe('InvalidToken');
  });

  it('is refused from another region, with an unknown key, and with a stranger’s signature', () => {
    const token = bearer(signer.sign(grant));
    expect(codeFrom(() => verifierAt(nowMs, { region: 'other' }).verify(token, expected))).toBe('InvalidToken');
    expect(codeFrom(() => verifierAt(nowMs, { publicKeys: new Map() }).verify(token, expected))).toBe('InvalidToken');
    const forged = createTokenSigner({
      region: 'r',
      subject: 'webapi/1',
      kid: 'k1',
      privateKey: stranger.privateKey,
      clock: clockAt(nowMs),
    });
    expect(codeFrom(() => verifierAt(nowMs).verify(bearer(forged.sign(grant)), expected))).toBe('InvalidToken');
  });

  it('is refused with any other algorithm in its header', () => {
    const [, body, signature] = signer.sign(grant).split('.');
    for (const alg of ['none', 'HS256', 'ES256']) {
      const head = Buffer.from(JSON.stringify({ alg, kid: 'k1' })).toString('base64url');
      expect(codeFrom(() => verifierAt(nowMs).verify(`Bearer ${head}.${body}.${signature}`, expected))).toBe(
        'InvalidToken',
      );
    }
  });

  it('allows one receiver, one operation and one path', () => {
    const token = bearer(signer.sign(grant));
    expect(codeFrom(() => verifierAt(nowMs, { audience: 'webapi' }).verify(token, expected))).toBe('TokenMismatch');
    expect(codeFrom(() => verifierAt(nowMs).verify(token, { ...expected, operation: 'put' }))).toBe('TokenMismatch');
    expect(codeFrom(() => verifierAt(nowMs).verify(token, { ...expected, path: '/a/c' }))).toBe('TokenMismatch');
  });

  it('without a path passes only where none is asked for', () => {
    const token = bearer(signNodeToken(signer, '1.stor.r'));
    const verifier = verifierAt(nowMs, { audience: 'webapi' });
    const heartbeat = { operation: 'heartbeat', path: '/internal/v1/heartbeat', maxLifetimeS: 7 * 86_400 };
    expect(verifier.verify(token, { ...heartbeat, anyPath: true }).subject).toBe('storage/1.stor.r');
    expect(codeFrom(() => verifier.verify(token, heartbeat))).toBe('TokenMismatch');
    expect(codeFrom(() => verifier.verify(token, { ...heartbeat, operation: 'admin', anyPath: true }))).toBe(
      'TokenMismatch',
    );
  });

  it('does not survive the change of any of its characters', () => {
    const token = signer.sign(grant);
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom(...'AZaz09-_.'), (at, character) => {
        const changed = token.slice(0, at) + character + token.slice(at + 1);
        // The last character of base64url holds unused bits, and Node ignores them.
        const sameBytes = changed.split('.').every((part, i) => {
          const original = token.split('.')[i] ?? '';
          return Buffer.from(part, 'base64url').equals(Buffer.from(original, 'base64url'));
        });
        return sameBytes || codeFrom(() => verifierAt(nowMs).verify(bearer(changed), expected)) === 'InvalidToken';
      }),
    );
  });
});
