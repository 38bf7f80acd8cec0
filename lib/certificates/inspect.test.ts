import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspectChain, isIssuedBy, readCertificates } from './inspect.ts';
import { createAuthority, createSelfSigned, issueCertificate, type KeyedCertificate } from './issue.ts';

const DAY_MS = 86_400_000;
const now = Date.UTC(2030, 5, 1);
const aLeaf = {
  subject: { commonName: 'front door' },
  dnsNames: ['manta.example.net', 'xn--bcher-kva.example'],
  addresses: ['192.0.2.7', '2001:db8::7'],
  usages: ['server' as const],
  days: 30,
};

/** A certificate that openssl has issued: it knows no bound to the days. */
function openssl(issuer: KeyedCertificate, days: number): KeyedCertificate {
  const dir = mkdtempSync(join(tmpdir(), 'manta-certificates-'));
  const file = (name: string, text = '') => {
    if (text !== '') writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  const run = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' });
  const read = (name: string) => readFileSync(file(name), 'utf8');
  try {
    run('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', file('key'), '-out', file('request'), '-subj', '/CN=young');
    const by = ['-CA', file('ca', issuer.certificate), '-CAkey', file('ca-key', issuer.key), '-CAcreateserial'];
    run('x509', '-req', '-in', file('request'), ...by, '-days', String(days), '-out', file('certificate'));
    return { certificate: read('certificate'), key: read('key') };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

let root: KeyedCertificate;
let intermediate: KeyedCertificate;
let leaf: KeyedCertificate;

beforeAll(async () => {
  root = await createAuthority({ commonName: 'root', years: 10 }, now);
  intermediate = await createAuthority({ commonName: 'intermediate', years: 5, issuer: root }, now);
  leaf = await issueCertificate(intermediate, aLeaf, now);
});

describe('readCertificates', () => {
  it('says what each certificate of the text says, in its order, whatever stands between them', () => {
    const text = `Bag Attributes: none\n${leaf.certificate}\n# issued by\r\n${intermediate.certificate}`;
    const [first, second] = readCertificates(text);
    expect(first).toMatchObject({
      commonName: 'front door',
      subjects: ['manta.example.net', 'xn--bcher-kva.example', '192.0.2.7', expect.stringMatching(/^2001:db8:.*7$/)],
      notBefore: now - 5 * 60_000,
      notAfter: now + 30 * DAY_MS,
      isAuthority: false,
    });
    expect(second).toMatchObject({ subjects: ['intermediate'], isAuthority: true });
  });

  it('gives the serial number as openssl does, and never the same twice', async () => {
    const serials = new Set<string>();
    for (let made = 0; made < 20; made += 1) {
      const { certificate } = await issueCertificate(root, aLeaf, now);
      serials.add(readCertificates(certificate)[0].serial);
    }
    expect(serials.size).toBe(20);
    const asked = execFileSync('openssl', ['x509', '-noout', '-serial'], { input: leaf.certificate, encoding: 'utf8' });
    expect(asked.trim()).toBe(`serial=${readCertificates(leaf.certificate)[0].serial}`);
  });

  it('throws CertificateUnreadable for a text without a certificate, a broken one, and one that is cut off', () => {
    const broken = leaf.certificate.replace(/MII/, 'MIJ');
    const cut = leaf.certificate + intermediate.certificate.slice(0, 200);
    for (const text of ['', leaf.key, broken, cut])
      expect(() => readCertificates(text)).toThrow(expect.objectContaining({ code: 'CertificateUnreadable' }));
  });
});

describe('inspectChain', () => {
  const chain = (...parts: KeyedCertificate[]) => parts.map(({ certificate }) => certificate).join('');

  it('accepts a leaf with its issuers in order, with and without the root, and a self-signed one', async () => {
    for (const certificate of [chain(leaf), chain(leaf, intermediate), chain(leaf, intermediate, root)])
      expect(inspectChain({ certificate, key: leaf.key }, now)).toMatchObject({
        kind: 'good',
        chain: [{ commonName: 'front door' }, ...[{}, {}].slice(0, certificate.split('BEGIN').length - 2)],
      });
    expect(inspectChain(await createSelfSigned(aLeaf, now), now)).toMatchObject({ kind: 'good' });
  });

  it('refuses a certificate whose time has not begun or is over', () => {
    const late = inspectChain(leaf, now + 40 * DAY_MS);
    expect(late).toMatchObject({ kind: 'bad', fault: 'Expired', message: /2030-07-01T00:00:00/ });
    expect(inspectChain(leaf, now - DAY_MS)).toMatchObject({ kind: 'bad', fault: 'NotYetValid' });
  });

  it('does not mind an issuer that ends before its leaf, as in chains with a cross-signature', async () => {
    const begin = Date.now();
    const short = await createAuthority({ commonName: 'short', years: 1 }, begin);
    const young = openssl(short, 800);
    const later = begin + 500 * DAY_MS;
    expect(readCertificates(short.certificate)[0].notAfter).toBeLessThan(later);
    expect(inspectChain({ certificate: young.certificate + short.certificate, key: young.key }, later)).toMatchObject({
      kind: 'good',
    });
  });

  it('refuses issuers in the wrong order, strangers, and one that only has the issuer’s name', async () => {
    const impostor = await createAuthority({ commonName: 'intermediate', years: 5, issuer: root }, now);
    for (const [certificate, where] of [
      [chain(leaf, root, intermediate), /certificate 2 of the chain has not issued certificate 1/],
      [chain(leaf, intermediate, leaf), /certificate 3 of the chain has not issued certificate 2/],
      [chain(leaf, impostor), /certificate 2 /],
    ] as const)
      expect(inspectChain({ certificate, key: leaf.key }, now)).toMatchObject({
        kind: 'bad',
        fault: 'ChainOrder',
        message: where,
      });
  });

  it('refuses another certificate’s key, and never repeats what stands in the key', () => {
    expect(inspectChain({ ...leaf, key: root.key }, now)).toMatchObject({ kind: 'bad', fault: 'KeyMismatch' });
    const verdict = inspectChain({ ...leaf, key: 'hunter2' }, now);
    expect(verdict).toMatchObject({ kind: 'bad', fault: 'KeyUnreadable' });
    expect(JSON.stringify(verdict)).not.toContain('hunter2');
    expect(inspectChain({ ...leaf, certificate: 'nothing' }, now)).toMatchObject({ kind: 'bad', fault: 'Unreadable' });
  });

  it('knows keys of other programs: RSA, and the older formats of openssl', () => {
    const make = (kind: string[]) =>
      execFileSync('sh', ['-c', '"$@" 2>/dev/null', 'sh', 'openssl', ...kind], { encoding: 'utf8' });
    const subject = ['-subj', '/CN=old.example.net', '-days', '3650', '-nodes', '-keyout', '-', '-out', '-'];
    for (const kind of ['rsa:2048', 'ed25519']) {
      const both = make(['req', '-x509', '-newkey', kind, ...subject]);
      const inForce = Date.now() + DAY_MS;
      expect(inspectChain({ certificate: both, key: both }, inForce)).toMatchObject({
        kind: 'good',
        chain: [{ subjects: ['old.example.net'] }],
      });
    }
  });
});

describe('isIssuedBy', () => {
  it('tells an authority from another of the same name', async () => {
    expect(isIssuedBy(leaf.certificate, intermediate.certificate)).toBe(true);
    const another = await createAuthority({ commonName: 'intermediate', years: 5, issuer: root }, now);
    expect(isIssuedBy(leaf.certificate, another.certificate)).toBe(false);
    expect(isIssuedBy(leaf.certificate, root.certificate)).toBe(false);
  });
});
