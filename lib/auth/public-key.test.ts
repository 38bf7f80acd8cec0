import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { MantaError } from '../errors/manta-error.ts';
import { parsePublicKey } from './public-key.ts';
import { aKeyPair, type KeyKind } from './testing.ts';

/** Made with OpenSSH's ssh-keygen, which printed the fingerprints too: the independent witness. */
const ED25519 = {
  text: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMZ6qvLJyquxwGMVSdDwvnefYwTw2zznT9oUNCEDmiNH user@example',
  md5Fingerprint: '50:da:f7:db:bf:0e:0a:5a:2e:6b:cd:70:3d:a5:96:8f',
  sha256Fingerprint: 'SHA256:sUBRCfmUmd2IvsfMZVPif+o5RnkKD35DoOXDgxfDNIc',
};

function rsaPem(bits: number): string {
  return generateKeyPairSync('rsa', { modulusLength: bits })
    .publicKey.export({ format: 'pem', type: 'spki' })
    .toString();
}

function refusal(text: string): string {
  try {
    parsePublicKey(text);
  } catch (error) {
    if (error instanceof MantaError && error.code === 'InvalidParameter') return error.message;
    throw error;
  }
  throw new Error('the key was accepted');
}

describe('parsePublicKey', () => {
  it.each<KeyKind>(['rsa', 'p256', 'p384', 'p521', 'ed25519'])('reads %s in OpenSSH and PEM form alike', kind => {
    const pair = aKeyPair(kind);
    const fromPem = parsePublicKey(pair.view.key.export({ format: 'pem', type: 'spki' }).toString());
    expect(fromPem).toEqual(parsePublicKey(pair.openSsh));
    expect(fromPem.algorithm).toBe(pair.view.algorithm);
  });

  it('computes both fingerprints as OpenSSH prints them', () => {
    const { text, ...fingerprints } = ED25519;
    expect(parsePublicKey(text)).toMatchObject({ algorithm: 'ed25519', ...fingerprints });
  });

  it('tolerates white space around the text', () => {
    expect(parsePublicKey(`\n  ${ED25519.text}\r\n`)).toEqual(parsePublicKey(ED25519.text));
  });

  it('refuses RSA below 2,048 bits', () => {
    expect(refusal(rsaPem(1024))).toContain('at least 2048 bits');
  });

  it('refuses DSA', () => {
    const { publicKey } = generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 });
    expect(refusal(publicKey.export({ format: 'pem', type: 'spki' }).toString())).toContain('type dsa');
  });

  it('refuses a private key without repeating it', () => {
    const { privatePem } = aKeyPair('ed25519');
    const message = refusal(privatePem);
    expect(message).toContain('private key');
    expect(message).not.toContain(privatePem.split('\n')[1]);
  });

  it.each(['', 'ssh-rsa', 'ssh-rsa AAAA', 'hello', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----'])(
    'refuses %j',
    text => {
      expect(refusal(text)).toContain('the public key is refused');
    },
  );

  it('refuses a curve point that is not on its curve', () => {
    const point = Buffer.alloc(65, 1);
    point[0] = 4;
    const field = (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
    const blob = Buffer.concat([
      field(Buffer.from('ecdsa-sha2-nistp256')),
      field(Buffer.from('nistp256')),
      field(point),
    ]);
    expect(refusal(`ecdsa-sha2-nistp256 ${blob.toString('base64')}`)).toContain('no valid key');
  });

  it('answers any damaged key with a key or a refusal, nothing else', () => {
    const original = aKeyPair('rsa').openSsh;
    fc.assert(
      fc.property(fc.nat(original.length - 1), fc.string({ maxLength: 8 }), (at, patch) => {
        const text = original.slice(0, at) + patch + original.slice(at + patch.length + 1);
        try {
          expect(parsePublicKey(text).spki.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(MantaError);
        }
      }),
    );
  });
});
