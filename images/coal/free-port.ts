import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { codeOf, MantaError } from '../../lib/errors/manta-error.ts';

const HOST = '127.0.0.1';

/** Throws MantaError `PortBusy`, which names port and option, when nothing can listen on the API's port. */
export async function assertPortFree(port: number): Promise<void> {
  try {
    await tryPort(port);
  } catch (cause) {
    throw portProblem(port, cause) ?? cause;
  }
}

/** The message for a failed listen on the public port; undefined for other failures. metadata.md §17. */
export function portProblem(port: number, cause: unknown): MantaError | undefined {
  if (codeOf(cause) === 'EADDRINUSE') {
    return new MantaError('PortBusy', `port ${port} is in use: choose another one with --port`, { cause });
  }
  if (codeOf(cause) === 'EACCES') {
    return new MantaError('PortBusy', `port ${port} is not open to this user: choose another one with --port`, {
      cause,
    });
  }
  return undefined;
}

/** `wanted` if it is free, else 0: addresses that others remember stay the same where they can. */
export async function keepPort(wanted: number | undefined): Promise<number> {
  return wanted === undefined ? 0 : tryPort(wanted).catch(() => 0);
}

async function tryPort(port: number): Promise<number> {
  const server = createServer();
  server.listen(port, HOST);
  await once(server, 'listening');
  const { port: taken } = server.address() as AddressInfo;
  const closed = once(server, 'close');
  server.close();
  await closed;
  return taken;
}
