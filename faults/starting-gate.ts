import { once } from 'node:events';
import { createServer, connect as dial, type Socket } from 'node:net';
import { eventually } from '../lib/eventually/eventually.ts';

/** Holds clients back until all are there, so that the slow start of their processes does not spread them out. */
export interface StartingGate {
  /** What clients take for the region. */
  readonly url: string;
  /** Resolves when so many have connected. */
  arrived(count: number, withinMs: number): Promise<void>;
  /** Lets those that wait, and all that come later, through to the region. */
  open(): void;
  /** How many uploads the region has acknowledged. */
  acknowledged(): number;
  close(): Promise<void>;
}

/** What a stored object is answered with, and nothing else that passes here. */
const STORED = 'HTTP/1.1 204 ';

/** A gate before the region on a port of this machine. */
export async function createStartingGate(port: number): Promise<StartingGate> {
  const waiting: Socket[] = [];
  const sockets = new Set<Socket>();
  let isOpen = false;
  let acknowledged = 0;

  function track(socket: Socket): void {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  }

  function pass(client: Socket): void {
    const region = dial(port, '127.0.0.1');
    track(region);
    region.on('data', chunk => {
      if (chunk.includes(STORED)) acknowledged += 1;
    });
    client.pipe(region).pipe(client);
    // What breaks on one side breaks on the other, as it would without a gate.
    for (const [one, other] of [
      [client, region],
      [region, client],
    ] as const)
      one.on('error', () => other.destroy());
  }

  const server = createServer({ allowHalfOpen: true }, client => {
    track(client);
    if (isOpen) return pass(client);
    client.on('error', () => {});
    waiting.push(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const own = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${own}`,
    arrived: (count, withinMs) => eventually(() => waiting.length >= count, withinMs),
    open() {
      isOpen = true;
      for (const client of waiting.splice(0)) pass(client);
    },
    acknowledged: () => acknowledged,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
