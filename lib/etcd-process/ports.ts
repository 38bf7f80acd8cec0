import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Finds loopback ports that nobody listens on. Below the range that systems give to outgoing connections, so that a
 * server that is down for a while finds its port free again.
 */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  for (let tries = 0; found.size < count; tries += 1) {
    if (tries > 200) throw new Error('no free loopback ports between 20000 and 32000');
    const port = randomInt(20_000, 32_000);
    if (await isFree(port)) found.add(port);
  }
  return [...found];
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
