import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pino from 'pino';
import ssh2 from 'ssh2';
import sshpk from 'sshpk';
import { type SshAgent, startSshAgent } from './ssh-agent.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..', '..');

const pem = (key: { export(options: { type: 'pkcs8'; format: 'pem' }): string | Buffer }) =>
  key.export({ type: 'pkcs8', format: 'pem' }).toString();
const keys: Record<string, string> = {
  rsa: pem(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey),
  ed25519: pem(generateKeyPairSync('ed25519').privateKey),
  ecdsa: pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
};

let dir: string;
let agent: SshAgent;
async function start(type: string): Promise<sshpk.Key> {
  agent = await startSshAgent(
    { logger: pino({ level: 'silent' }) },
    { socketPath: join(dir, 'agent'), privateKey: keys[type] as string },
  );
  return sshpk.parsePrivateKey(keys[type] as string, 'pem').toPublic();
}
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'manta-agent-'));
});
afterEach(async () => {
  await agent.close();
  rmSync(dir, { recursive: true, force: true });
});

function sign(key: sshpk.Key, data: Buffer, hash?: 'sha256' | 'sha512'): Promise<Buffer> {
  const client = ssh2.createAgent(agent.socketPath);
  return new Promise((resolve, reject) => {
    client.sign(key.toString('ssh'), data, hash === undefined ? {} : { hash }, (error, signature) =>
      signature === undefined ? reject(error) : resolve(signature as Buffer),
    );
  });
}

describe('the SSH agent', () => {
  it.each([undefined, 'sha256', 'sha512'] as const)('signs with RSA and the digest asked for: %s', async hash => {
    const key = await start('rsa');
    const signature = await sign(key, Buffer.from('text'), hash);
    const verifier = key.createVerify(hash ?? 'sha1');
    verifier.update('text');
    expect(verifier.verify(sshpk.parseSignature(signature, 'rsa', 'asn1'))).toBe(true);
  });

  it('refuses keys it does not have, and goes on', async () => {
    const key = await start('ed25519');
    const other = sshpk.parsePrivateKey(keys.ecdsa as string, 'pem').toPublic();
    await expect(sign(other, Buffer.from('text'))).rejects.toThrow();
    expect(await sign(key, Buffer.from('text'))).toHaveLength(64);
  });

  it('lets nobody else in, survives noise, and removes its socket when it closes', async () => {
    const key = await start('ed25519');
    expect(statSync(agent.socketPath).mode & 0o777).toBe(0o600);
    const noise = connect(agent.socketPath);
    noise.on('error', () => {});
    noise.end(Buffer.from([0, 0, 0, 3, 99, 1, 2, 0xff, 0xff]));
    await once(noise.resume(), 'close');
    expect(await sign(key, Buffer.from('text'))).toHaveLength(64);
    const open = connect(agent.socketPath);
    await once(open, 'connect');
    const closed = once(open, 'close');
    await agent.close();
    await closed;
    expect(existsSync(agent.socketPath)).toBe(false);
    await start('ed25519');
  });

  it.each(['rsa', 'ed25519', 'ecdsa'])('is where the command line finds a key of type %s', async type => {
    const key = await start(type);
    const verdicts: unknown[] = [];
    const server = createServer((request, response) => {
      const { authorization = '', date } = request.headers;
      const signature = /signature="([^"]+)"/.exec(authorization)?.[1] ?? '';
      const digest = /algorithm="\w+-(\w+)"/.exec(authorization)?.[1] ?? '';
      const verifier = key.createVerify(digest as 'sha256' | 'sha512');
      verifier.update(`date: ${date}`);
      verdicts.push(verifier.verify(sshpk.parseSignature(signature, key.type as 'rsa', 'asn1')));
      response.writeHead(200, { 'content-type': 'application/x-json-stream; type=directory', 'result-set-size': '0' });
      response.end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const env = {
      PATH: process.env.PATH,
      HOME: dir,
      NODE_OPTIONS: `--no-warnings --require="${join(import.meta.dirname, 'missing-ssh-directory.cjs')}"`,
      SSH_AUTH_SOCK: agent.socketPath,
      MANTA_URL: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
      MANTA_USER: 'admin',
      MANTA_KEY_ID: key.fingerprint('md5').toString('hex'),
    };
    try {
      await run(join(root, 'node_modules', 'manta', 'bin', 'mls'), ['~~/stor'], { env });
      expect(verdicts).toEqual([true, true]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
