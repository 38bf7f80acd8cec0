import {
  createServer as createHttpServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { connect, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream';

/** Serves connections from this machine to the cluster's API server. `listener` listens outside of these namespaces. */
export function serveApi(listener: Server, apiPort: number): void {
  listener.on('connection', socket => join(socket, connect(apiPort, '127.0.0.1')));
}

/**
 * Serves an HTTP proxy (CONNECT and plain requests) into the cluster, which knows its names. Who connects is on this
 * machine: nobody else reaches its loopback interface.
 */
export function serveProxy(listener: Server): void {
  const proxy = createHttpServer(forward);
  proxy.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const { hostname, port } = new URL(`http://${request.url}`);
    const upstream = connect(Number(port || 80), hostname, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.write(head);
    });
    join(socket, upstream);
  });
  listener.on('connection', socket => proxy.emit('connection', socket));
}

function join(one: Socket, other: Socket): void {
  // Either end may break off at any time, which ends both; there is nobody to tell.
  pipeline(one, other, () => {});
  pipeline(other, one, () => {});
}

function forward(request: IncomingMessage, response: ServerResponse): void {
  if (!URL.canParse(request.url ?? '')) {
    response.writeHead(400).end('a proxy: set http_proxy, or use curl -x\n');
    return;
  }
  const url = new URL(request.url ?? '');
  const upstream = httpRequest(url, { method: request.method ?? 'GET', headers: request.headers }, answer => {
    response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
    pipeline(answer, response, () => {});
  });
  upstream.on('error', error => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502).end(`${error.message}\n`);
  });
  pipeline(request, upstream, () => {});
}
