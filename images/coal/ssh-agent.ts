import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { promisify } from 'node:util';
import type { Logger } from 'pino';
import ssh2 from 'ssh2';
import sshpk from 'sshpk';

/** A running agent. */
export interface SshAgent {
  /** For SSH_AUTH_SOCK. */
  readonly socketPath: string;
  /** Closes all connections and removes the socket. */
  close(): Promise<void>;
}

/** Clients connected at the same time; an agent's clients ask for a signature and go. */
const MAX_CONNECTIONS = 256;

/**
 * An SSH agent that offers one private key (PEM) on a unix socket. The Manta command line looks for keys in `~/.ssh` and
 * in an agent only; this is how it finds the region's key while `~/.ssh` stays as it is.
 */
export async function startSshAgent(
  deps: { logger: Logger },
  config: { socketPath: string; privateKey: string },
): Promise<SshAgent> {
  const key = sshpk.parsePrivateKey(config.privateKey, 'pem');
  const parsed = ssh2.utils.parseKey(key.toPublic().toString('ssh'));
  if (parsed instanceof Error) throw parsed;
  const connections = new Set<Socket>();
  const server = createServer(socket => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    serve(socket, key, parsed, deps.logger);
  });
  server.maxConnections = MAX_CONNECTIONS;
  // The lock on the state directory says that no other agent lives there.
  rmSync(config.socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.socketPath, resolve);
  });
  chmodSync(config.socketPath, 0o600);
  return {
    socketPath: config.socketPath,
    close: async () => {
      const closed = promisify(server.close.bind(server))();
      for (const connection of connections) connection.destroy();
      await closed;
    },
  };
}

function serve(socket: Socket, key: sshpk.PrivateKey, parsed: ssh2.ParsedKey, logger: Logger): void {
  const protocol = new ssh2.AgentProtocol(false);
  protocol.on('identities', request => protocol.getIdentitiesReply(request, [parsed]));
  protocol.on('sign', (request, wanted, data, { hash }) => {
    if (!wanted.getPublicSSH().equals(parsed.getPublicSSH())) protocol.failureReply(request);
    else protocol.signReply(request, signatureBlob(key, data, hash));
  });
  pipeline(socket, protocol, socket, error => {
    if (error && !socket.destroyed) logger.debug({ err: error }, 'agent connection failed');
  });
}

/**
 * The signature without the name of its format, which the protocol adds. RSA follows the flag of the request, and is
 * SHA-1 without one; the other types have one digest each.
 */
function signatureBlob(key: sshpk.PrivateKey, data: Buffer, hash: 'sha1' | 'sha256' | 'sha512' | undefined): Buffer {
  const digest = key.type === 'rsa' ? (hash ?? 'sha1') : key.defaultHashAlgorithm();
  const signer = key.createSign(digest);
  signer.update(data);
  const whole = signer.sign().toBuffer('ssh');
  const name = whole.readUInt32BE(0);
  return whole.subarray(4 + name + 4);
}
