import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../lib/eventually/eventually.ts';
import { checkTemporaries } from './consistency.ts';
import type { Region } from './region.ts';
import type { Report } from './report.ts';

/** A client that stops sending in the middle of a body: 408 after 45 s, the socket closed, nothing left behind. */
export async function silence(region: Region): Promise<Report> {
  const problems: string[] = [];
  const path = `/${region.client.login}/stor/silent`;
  const socket = startPut(region, path, 1000);
  socket.write('only this');
  const startedAt = performance.now();
  const text = await readAll(socket, 60_000);
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  if (!text.startsWith('HTTP/1.1 408')) problems.push(`answered ${JSON.stringify(text.slice(0, 60))}`);
  if (!text.includes('"UploadTimeout"')) problems.push('the code is not UploadTimeout');
  if (seconds < 44 || seconds > 50) problems.push(`answered after ${seconds} s instead of 45`);
  problems.push(...(await leftBehind(region, path)));
  return { name: 'silence', figures: { seconds }, problems };
}

/** A client that sends a byte every 10 s for `seconds`: slow, but never silent, so it succeeds. */
export async function trickle(region: Region, seconds: number): Promise<Report> {
  const problems: string[] = [];
  const path = `/${region.client.login}/stor/trickle`;
  const bytes = Math.max(2, Math.ceil(seconds / 10));
  const socket = startPut(region, path, bytes);
  const startedAt = performance.now();
  const text = readAll(socket, seconds * 1000 + 60_000);
  for (let sent = 0; sent < bytes; sent += 1) {
    if (sent > 0) await sleep(10_000);
    socket.write('x');
    if (sent % 6 === 5) console.log(`trickle: ${sent + 1} of ${bytes} bytes`);
  }
  if (!(await text).startsWith('HTTP/1.1 204')) problems.push(`answered ${JSON.stringify((await text).slice(0, 60))}`);
  const stored = await region.client.request('GET', path);
  if (stored.body.toString() !== 'x'.repeat(bytes)) problems.push('the stored bytes differ');
  return { name: 'trickle', figures: { seconds: Math.round((performance.now() - startedAt) / 1000), bytes }, problems };
}

/** An upload cut half way: no entry, no temporary file. */
export async function cut(region: Region): Promise<Report> {
  const path = `/${region.client.login}/stor/cut`;
  for (let i = 0; i < 20; i += 1) {
    const socket = startPut(region, path, 1_000_000);
    await new Promise<void>(resolve => socket.write(Buffer.alloc(500_000), () => resolve()));
    await sleep(i * 5);
    socket.destroy();
  }
  return { name: 'cut', figures: { uploads: 20 }, problems: await leftBehind(region, path) };
}

async function leftBehind(region: Region, path: string): Promise<string[]> {
  // Storage nodes hear of the end a moment after the client.
  await eventually(async () => (await checkTemporaries(region.dir)).length === 0, 5_000).catch(() => {});
  const problems = await checkTemporaries(region.dir);
  const { status } = await region.client.request('HEAD', path);
  if (status !== 404) problems.push(`${path} exists although its upload failed (HEAD ${status})`);
  return problems;
}

function startPut(region: Region, path: string, contentLength: number): Socket {
  const { hostname, port } = new URL(region.url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  const headers = {
    host: `${hostname}:${port}`,
    ...region.client.authorization(),
    'content-length': String(contentLength),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`PUT ${path} HTTP/1.1\r\n${lines.join('')}connection: close\r\n\r\n`);
  return socket;
}

/** Everything the server sends until it closes. */
function readAll(socket: Socket, withinMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the connection was still open after ${withinMs} ms; so far: ${text.slice(0, 100)}`));
    }, withinMs);
    socket.on('data', chunk => {
      text += chunk.toString();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
}
