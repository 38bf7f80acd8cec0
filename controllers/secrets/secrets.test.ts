import { createPublicKey } from 'node:crypto';
import { parsePublicKey } from '../../lib/auth/public-key.ts';
import { isIssuedBy, readCertificates } from '../../lib/certificates/inspect.ts';
import { createTokenSigner, createTokenVerifier } from '../../lib/region-token/region-token.ts';
import { missingNameservice } from './nameservice-secret.ts';
import { missingNodeTokens } from './node-tokens.ts';
import { missingPoseidon } from './poseidon-key.ts';
import { missingPostgres } from './postgres-secret.ts';
import { missingRegionKey, readRegionKey } from './region-key.ts';
import { dataOf, encodedData, type SecretData } from './secret-data.ts';
import { missingSelfSigned } from './self-signed.ts';

const DAY_MS = 86_400_000;
const nowMs = Date.UTC(2030, 0, 1);
const nameservice = { dnsNames: ['nameservice-0.nameservice.manta.svc', 'localhost'], users: ['root', 'shard-1'] };
const hostnames = ['manta.coal.example.test'];
const without = (data: SecretData, ...names: string[]) =>
  Object.fromEntries(Object.entries(data).filter(([name]) => !names.includes(name)));

describe('a Secret', () => {
  const kinds: [string, (found: SecretData) => SecretData | Promise<SecretData>][] = [
    ['of the region key', missingRegionKey],
    ['of nameservice', found => missingNameservice(found, nameservice, nowMs)],
    ['of postgres', found => missingPostgres(found, [1, 2])],
    ['of poseidon', missingPoseidon],
    ['of a self-signed certificate', found => missingSelfSigned(found, hostnames, nowMs)],
  ];

  it.each(kinds)('%s lacks nothing once it is complete', async (_, missing) => {
    const made = await missing({});
    expect(Object.keys(made).length).toBeGreaterThan(0);
    expect(await missing(made)).toEqual({});
    expect(await missing({ ...made, mine: 'kept' })).toEqual({});
  });

  it('survives the API, whatever bytes of text it has', () => {
    const data = { text: 'ä\n', empty: '' };
    expect(dataOf({ data: encodedData(data) })).toEqual(data);
    expect(dataOf(undefined)).toEqual({});
  });
});

describe('the region key', () => {
  it('signs what its public key proves', () => {
    const data = missingRegionKey({});
    const key = readRegionKey(data);
    if (key === undefined) throw new Error('the key is not complete');
    const publicKeys = new Map([[key.kid, createPublicKey(data[`${key.kid}.pub`] ?? '')]]);
    const common = { region: 'r', clock: { now: () => nowMs, monotonic: () => nowMs } };
    const token = createTokenSigner({ ...common, ...key, subject: 'operator/1' }).sign({
      audience: 'webapi',
      operation: 'admin',
      path: '/',
    });
    const verifier = createTokenVerifier({ ...common, audience: 'webapi', publicKeys });
    expect(verifier.verify(`Bearer ${token}`, { operation: 'admin', path: '/' }).subject).toBe('operator/1');
  });

  it('keeps old public keys accepted, and makes one again that is gone', () => {
    const data = missingRegionKey({});
    const kid = data.current ?? '';
    expect(readRegionKey({ ...data, 'old.pub': 'PEM' })?.publicKids).toEqual([kid, 'old'].sort());
    const cut = without(data, `${kid}.pub`);
    expect(readRegionKey(cut)).toBeUndefined();
    expect(missingRegionKey(cut)).toEqual({ [`${kid}.pub`]: data[`${kid}.pub`] });
  });
});

describe('the Secret of nameservice', () => {
  it('gets a new certificate 60 days before the old one ends, from the same authority', async () => {
    const first = await missingNameservice({}, nameservice, nowMs);
    expect(await missingNameservice(first, nameservice, nowMs + 304 * DAY_MS)).toEqual({});
    const later = await missingNameservice(first, nameservice, nowMs + 306 * DAY_MS);
    expect(Object.keys(later).sort()).toEqual(['tls.crt', 'tls.key']);
    expect(isIssuedBy(later['tls.crt'] ?? '', first['ca.crt'] ?? '')).toBe(true);
  });

  it('gets a new certificate for a further member, and a password for a further shard', async () => {
    const first = await missingNameservice({}, nameservice, nowMs);
    const more = {
      dnsNames: [...nameservice.dnsNames, 'nameservice-1.nameservice.manta.svc'],
      users: ['root', 'shard-2'],
    };
    const second = await missingNameservice(first, more, nowMs);
    expect(Object.keys(second).sort()).toEqual(['password-shard-2', 'tls.crt', 'tls.key']);
    expect(readCertificates(second['tls.crt'] ?? '')[0].subjects).toEqual(expect.arrayContaining(more.dnsNames));
  });

  it('gets a new password where an entry was removed to change it', async () => {
    const first = await missingNameservice({}, nameservice, nowMs);
    const second = await missingNameservice(without(first, 'password-shard-1'), nameservice, nowMs);
    expect(Object.keys(second)).toEqual(['password-shard-1']);
    expect(second['password-shard-1']).not.toBe(first['password-shard-1']);
  });
});

it('the key of poseidon is one that the region knows by the id that clients send', () => {
  const made = missingPoseidon({});
  expect(parsePublicKey(made['id_rsa.pub'] ?? '').md5Fingerprint).toBe(made['key-id']);
  expect(missingPoseidon(without(made, 'key-id'))).toEqual({ 'key-id': made['key-id'] });
});

it('the self-signed certificate is replaced 30 days ahead and for another host name', async () => {
  const made = await missingSelfSigned({}, hostnames, nowMs);
  expect(await missingSelfSigned(made, hostnames, nowMs + 334 * DAY_MS)).toEqual({});
  expect(await missingSelfSigned(made, hostnames, nowMs + 336 * DAY_MS)).not.toEqual({});
  expect(await missingSelfSigned(made, [...hostnames, 'other.example.test'], nowMs)).not.toEqual({});
});

describe('a node token', () => {
  const data = missingRegionKey({});
  const key = readRegionKey(data);
  if (key === undefined) throw new Error('the key is not complete');
  const signerAt = (now: number) =>
    createTokenSigner({ ...key, region: 'r', subject: 'operator/1', clock: { now: () => now, monotonic: () => now } });
  const holder = { name: 'stor-2', storageId: '2.stor.r.example.test' };
  const missing = (found: SecretData, at: number, kid = key.kid) =>
    missingNodeTokens(found, [holder], signerAt(at), { kid, nowMs: at });

  it('is made once, and again when half its time is spent', () => {
    const made = missing({}, nowMs);
    expect(Object.keys(made)).toEqual(['stor-2']);
    expect(missing(made, nowMs + 3 * DAY_MS)).toEqual({});
    expect(missing(made, nowMs + 4 * DAY_MS)).not.toEqual({});
  });

  it('is made again when its key no longer signs, and when it is none', () => {
    const made = missing({}, nowMs);
    expect(missing(made, nowMs, 'newer')).not.toEqual({});
    expect(missing({ 'stor-2': 'nonsense' }, nowMs)).not.toEqual({});
  });
});
