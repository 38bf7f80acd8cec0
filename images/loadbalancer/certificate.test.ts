import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import {
  createAuthority,
  createSelfSigned,
  issueCertificate,
  type KeyedCertificate,
} from '../../lib/certificates/issue.ts';
import { createCertificateKeeper } from './certificate.ts';

const DAY_MS = 86_400_000;
let dir: string;
let now: number;
let log: string[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'manta-certificate-'));
  now = Date.now();
  log = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const files = () => ({ certificateFile: join(dir, 'given.crt'), keyFile: join(dir, 'given.key'), stateDir: dir });

function keeper() {
  const logger = pino({ level: 'info' }, { write: line => void log.push(line) });
  return createCertificateKeeper({ logger, clock: { now: () => now, monotonic: () => now } }, files());
}

function give({ certificate, key }: KeyedCertificate): void {
  writeFileSync(files().certificateFile, certificate);
  writeFileSync(files().keyFile, key);
}

const selfSigned = (commonName: string, days = 30) =>
  createSelfSigned({ subject: { commonName }, usages: ['server'], days }, now);

describe('the certificate', () => {
  it('is served from a copy that only this program can read', async () => {
    const given = await selfSigned('one');
    give(given);
    const kept = keeper();
    expect(kept.look()).toBe(true);
    const served = kept.served();
    expect(served?.leaf.subjects).toEqual(['one']);
    expect(readFileSync(served?.keyFile ?? '', 'utf8')).toBe(given.key);
    expect(statSync(served?.keyFile ?? '').mode & 0o777).toBe(0o600);
    expect(kept.look()).toBe(false);
  });

  it('changes with its files, and the copy of the one before can be forgotten', async () => {
    give(await selfSigned('one'));
    const kept = keeper();
    kept.look();
    give(await selfSigned('two'));
    expect(kept.look()).toBe(true);
    expect(kept.served()?.leaf.subjects).toEqual(['two']);
    kept.forgetOthers();
    expect(readdirSync(dir).filter(name => name.startsWith('tls-'))).toHaveLength(2);
  });

  it.each<[string, () => Promise<KeyedCertificate>, string]>([
    ['garbage', async () => ({ ...(await selfSigned('two')), certificate: 'garbage' }), 'Unreadable'],
    ['a foreign key', async () => ({ ...(await selfSigned('two')), key: (await selfSigned('x')).key }), 'KeyMismatch'],
    ['one that has expired', () => selfSigned('two', -1), 'Expired'],
    [
      'a shuffled chain',
      async () => {
        const root = await createAuthority({ commonName: 'root', years: 1 }, now);
        const middle = await createAuthority({ commonName: 'middle', years: 1, issuer: root }, now);
        const leaf = await issueCertificate(middle, { subject: { commonName: 'a' }, usages: ['server'], days: 1 }, now);
        return { ...leaf, certificate: leaf.certificate + root.certificate + middle.certificate };
      },
      'ChainOrder',
    ],
  ])('stays the last good one for %s, which is said once', async (_, make, fault) => {
    give(await selfSigned('one'));
    const kept = keeper();
    kept.look();
    give(await make());
    expect(kept.look()).toBe(false);
    expect(kept.look()).toBe(false);
    expect(kept.served()?.leaf.subjects).toEqual(['one']);
    expect(kept.refused()?.fault).toBe(fault);
    expect(log.filter(line => line.includes('certificate refused'))).toHaveLength(1);
    expect(log.join()).not.toContain('PRIVATE');
    give(await selfSigned('three'));
    expect(kept.look()).toBe(true);
    expect(kept.refused()).toBeUndefined();
  });

  it('stays while its files are gone', async () => {
    give(await selfSigned('one'));
    const kept = keeper();
    kept.look();
    rmSync(files().keyFile);
    expect(kept.look()).toBe(false);
    expect(kept.served()?.leaf.subjects).toEqual(['one']);
    expect(kept.refused()?.fault).toBe('Missing');
  });

  it('is served after it has expired, because nothing better is there', async () => {
    give(await selfSigned('one', 1));
    const kept = keeper();
    kept.look();
    now += 2 * DAY_MS;
    expect(kept.look()).toBe(false);
    expect(kept.served()?.leaf.subjects).toEqual(['one']);
    expect(kept.refused()?.fault).toBe('Expired');
  });

  it('is found again by a restarted program while its files hold a bad one', async () => {
    give(await selfSigned('one'));
    keeper().look();
    writeFileSync(files().certificateFile, 'garbage');
    const restarted = keeper();
    restarted.look();
    expect(restarted.served()?.leaf.subjects).toEqual(['one']);
    expect(restarted.refused()?.fault).toBe('Unreadable');
  });

  it('is the one before when nginx does not take it, and is not tried again until it changes', async () => {
    give(await selfSigned('one'));
    const kept = keeper();
    kept.look();
    give(await selfSigned('two'));
    kept.look();
    kept.giveUp('the key is too small');
    expect(kept.served()?.leaf.subjects).toEqual(['one']);
    expect(kept.look()).toBe(false);
    expect(kept.refused()).toEqual({ fault: 'Refused', message: 'the key is too small' });
    give(await selfSigned('three'));
    expect(kept.look()).toBe(true);
    expect(kept.refused()).toBeUndefined();
  });
});
