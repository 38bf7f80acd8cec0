import fc from 'fast-check';
import { codeOf } from '../errors/manta-error.ts';
import { parseKeyId } from './key-id.ts';

const MD5 = '0a:1b:2c:3d:4e:5f:60:71:82:93:a4:b5:c6:d7:e8:f9';

describe('parseKeyId', () => {
  it.each([
    [`/alice/keys/${MD5}`, { account: 'alice', fingerprint: MD5 }],
    [`/alice/bob/keys/${MD5}`, { account: 'alice', user: 'bob', fingerprint: MD5 }],
    [`/alice/keys/${encodeURIComponent(MD5)}`, { account: 'alice', fingerprint: MD5 }],
    ['/al%40ice/keys/SHA256:a%2Fb', { account: 'al@ice', fingerprint: 'SHA256:a/b' }],
    ['/alice/keys/SHA256:a/b+c', { account: 'alice', fingerprint: 'SHA256:a/b+c' }],
    ['/alice/bob/keys/SHA256:a/b', { account: 'alice', user: 'bob', fingerprint: 'SHA256:a/b' }],
    [`/alice/keys/keys/${MD5}`, { account: 'alice', user: 'keys', fingerprint: MD5 }],
  ])('reads %s', (text, expected) => {
    expect(parseKeyId(text)).toEqual(expected);
  });

  it.each([
    '',
    'alice',
    `alice/keys/${MD5}`,
    `/alice/${MD5}`,
    '/alice/keys/',
    `//keys/${MD5}`,
    `/alice//keys/${MD5}`,
    `/alice/KEYS/${MD5}`,
    `/alice/users/bob/keys/${MD5}`,
    `/%zz/keys/${MD5}`,
    '/alice/keys/%ff',
  ])('refuses %j', text => {
    expect(() => parseKeyId(text)).toThrow('the KeyId token you provided is invalid');
  });

  it('reads back whatever was written in its shape', () => {
    const piece = fc.string({ minLength: 1, unit: 'grapheme' });
    fc.assert(
      fc.property(piece, fc.option(piece, { nil: undefined }), piece, (account, user, fingerprint) => {
        const text = ['', account, ...(user === undefined ? [] : [user]), 'keys', fingerprint]
          .map(encodeURIComponent)
          .join('/');
        expect(parseKeyId(text)).toEqual({ account, fingerprint, ...(user === undefined ? {} : { user }) });
      }),
    );
  });

  it('answers any text with a key id or InvalidKeyId', () => {
    const shaped = fc.array(fc.constantFrom('/', 'keys', 'SHA256:', '%', '%41', 'x', '\n', 'é')).map(p => p.join(''));
    fc.assert(
      fc.property(fc.oneof(fc.string(), shaped), text => {
        try {
          expect(parseKeyId(text).account).not.toBe('');
        } catch (error) {
          expect(codeOf(error)).toBe('InvalidKeyId');
        }
      }),
    );
  });
});
