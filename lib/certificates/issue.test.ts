import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { readCertificates } from './inspect.ts';
import {
  createAuthority,
  createSelfSigned,
  issueCertificate,
  type KeyedCertificate,
  type LeafRequest,
} from './issue.ts';

const DAY_MS = 86_400_000;
const now = Date.now();

const aServer: LeafRequest = {
  subject: { commonName: 'front door' },
  dnsNames: ['manta.example.net', '*.pods.example.net'],
  addresses: ['127.0.0.1', '::1'],
  usages: ['server'],
  days: 365,
};
const aClient: LeafRequest = {
  subject: { commonName: 'kubernetes-admin', organizations: ['system:masters', '#Müller, "Söhne" + \\Töchter'] },
  usages: ['client'],
  days: 1,
};

interface Meeting {
  readonly server: KeyedCertificate;
  /** What the client trusts. */
  readonly authority: string;
  readonly client?: KeyedCertificate;
  /** What the server demands of clients. */
  readonly clientAuthority?: string;
  readonly name?: string;
}

/** One handshake over loopback: what the server saw of the client, or the first failure of either side. */
async function meet(meeting: Meeting): Promise<{ user: string | undefined; groups: unknown }> {
  const server = createServer({
    cert: meeting.server.certificate,
    key: meeting.server.key,
    requestCert: meeting.clientAuthority !== undefined,
    rejectUnauthorized: true,
    ca: meeting.clientAuthority,
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const seen = new Promise<TLSSocket>((resolve, reject) => {
      server.once('secureConnection', resolve);
      server.once('tlsClientError', reject);
    });
    const client = new Promise<TLSSocket>((resolve, reject) => {
      const socket = connect(
        {
          port,
          host: '127.0.0.1',
          servername: meeting.name ?? 'manta.example.net',
          ca: meeting.authority,
          cert: meeting.client?.certificate,
          key: meeting.client?.key,
        },
        () => resolve(socket),
      );
      socket.once('error', reject);
    });
    try {
      const [peer] = await Promise.all([seen, client]);
      const { subject } = peer.getPeerCertificate();
      return { user: subject?.CN as string | undefined, groups: subject?.O };
    } finally {
      for (const side of await Promise.allSettled([seen, client]))
        if (side.status === 'fulfilled') side.value.destroy();
    }
  } finally {
    server.close();
  }
}

describe('certificates in a handshake', () => {
  let authority: KeyedCertificate;
  beforeAll(async () => {
    authority = await createAuthority({ commonName: 'manta authority', years: 10 }, now);
  });

  it('are accepted by who trusts their authority, for each of their names and addresses', async () => {
    const server = await issueCertificate(authority, aServer, now);
    for (const name of ['manta.example.net', 'postgres-0.pods.example.net'])
      await meet({ server, authority: authority.certificate, name });
    await expect(meet({ server, authority: authority.certificate, name: 'example.net' })).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });

  it('tell a server the user and the groups of a client, whatever characters they are made of', async () => {
    const server = await issueCertificate(authority, aServer, now);
    const client = await issueCertificate(authority, aClient, now);
    const both = { authority: authority.certificate, clientAuthority: authority.certificate };
    expect(await meet({ server, client, ...both })).toEqual({
      user: 'kubernetes-admin',
      groups: ['system:masters', '#Müller, "Söhne" + \\Töchter'],
    });
  });

  it('are refused in the role that they are not made for', async () => {
    const server = await issueCertificate(authority, aClient, now);
    await expect(meet({ server, authority: authority.certificate })).rejects.toMatchObject({ code: 'INVALID_PURPOSE' });
  });

  it('are refused by who trusts another authority of the same name', async () => {
    const server = await issueCertificate(authority, aServer, now);
    const other = await createAuthority({ commonName: 'manta authority', years: 10 }, now);
    await expect(meet({ server, authority: other.certificate })).rejects.toMatchObject({
      code: expect.stringMatching(/^(UNABLE_TO|CERT_SIGNATURE_FAILURE)/),
    });
  });

  it('are refused once their time is over', async () => {
    const server = await issueCertificate(authority, { ...aServer, days: 1 }, now - 2 * DAY_MS);
    await expect(meet({ server, authority: authority.certificate })).rejects.toMatchObject({
      code: 'CERT_HAS_EXPIRED',
    });
  });

  it('lead through an intermediate to its root', async () => {
    const issuer = await createAuthority({ commonName: 'intermediate', years: 1, issuer: authority }, now);
    const leaf = await issueCertificate(issuer, aServer, now);
    const server = { ...leaf, certificate: leaf.certificate + issuer.certificate };
    await meet({ server, authority: authority.certificate });
    await expect(meet({ server: leaf, authority: authority.certificate })).rejects.toThrow();
  });

  it('made by themselves are accepted by who is given them, and by nobody else', async () => {
    const server = await createSelfSigned(aServer, now);
    await meet({ server, authority: server.certificate });
    await expect(meet({ server, authority: authority.certificate })).rejects.toMatchObject({
      code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    });
  });
});

describe('the dates of certificates', () => {
  const leapDay = Date.UTC(2028, 1, 29, 12, 0, 0, 987);

  it('are calendar years for an authority and days for a leaf, in whole seconds, from a little before now', async () => {
    const authority = await createAuthority({ commonName: 'authority', years: 10 }, leapDay);
    expect(readCertificates(authority.certificate)[0]).toMatchObject({
      notBefore: Date.UTC(2028, 1, 29, 11, 55),
      notAfter: Date.UTC(2038, 2, 1, 12),
      isAuthority: true,
    });
    const leaf = await issueCertificate(authority, aServer, leapDay);
    expect(readCertificates(leaf.certificate)[0]).toMatchObject({
      notAfter: Date.UTC(2029, 1, 28, 12),
      isAuthority: false,
    });
  });

  it('do not reach beyond those of the authority, whose certificate would fail first', async () => {
    const authority = await createAuthority({ commonName: 'authority', years: 1 }, now);
    const [{ notAfter }] = readCertificates(authority.certificate);
    const leaf = await issueCertificate(authority, { ...aServer, days: 1_000 }, now);
    expect(readCertificates(leaf.certificate)[0].notAfter).toBe(notAfter);
  });

  it('of the year 2050 and later are read back', async () => {
    const authority = await createAuthority({ commonName: 'authority', years: 10 }, Date.UTC(2045, 0, 1));
    expect(readCertificates(authority.certificate)[0].notAfter).toBe(Date.UTC(2055, 0, 1));
  });
});
