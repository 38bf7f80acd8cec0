import { connect, createServer, type Socket } from 'node:net';

/** What a Service is to its clients: one port of this machine, and behind it whoever is there when somebody connects. */
export interface Forwarder {
  close(): void;
}

/** `target`: the port to pass a new connection on to; 0 refuses it. */
export function startForwarder(port: number, target: () => number): Forwarder {
  const open = new Set<Socket>();
  const server = createServer(client => {
    const upstream = connect(target() || 1, '127.0.0.1');
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on('close', () => {
        open.delete(socket);
        client.destroy();
        upstream.destroy();
      });
      socket.on('error', () => {});
    }
    client.pipe(upstream).pipe(client);
  });
  server.on('error', () => {});
  server.listen(port, '127.0.0.1');
  return {
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
