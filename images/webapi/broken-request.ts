import type { Socket } from 'node:net';
import { codeOf } from '../../lib/errors/manta-error.ts';
import { CATALOGUE } from './errors.ts';

/** Milliseconds that a client has to read its answer. */
const LINGER_MS = 1000;

/**
 * Answers what Node's HTTP parser refused, on the raw socket, and closes it. http-api.md §4, end. Nothing is written when
 * the connection is gone, or `mayWrite` is false because the bytes would land inside an answer that has begun.
 */
export function answerBrokenRequest(
  error: Error,
  socket: Socket,
  options: { readonly mayWrite: boolean; readonly serverHeader: string; readonly headerBytes: number },
): void {
  // More of the same client's bytes after its answer: the timer below ends it.
  if (socket.writableEnded) return;
  if (codeOf(error) === 'ECONNRESET' || !socket.writable || !options.mayWrite) {
    socket.destroy();
    return;
  }
  const { code, reason, message } = answerFor(codeOf(error), options.headerBytes);
  const body = JSON.stringify({ code, message });
  socket.end(
    `HTTP/1.1 ${CATALOGUE[code]?.status ?? 400} ${reason}\r\n` +
      'Content-Type: application/json\r\n' +
      `Content-Length: ${Buffer.byteLength(body)}\r\n` +
      `Date: ${new Date().toUTCString()}\r\n` +
      `Server: ${options.serverHeader}\r\n\r\n${body}`,
  );
  // Closing at once while the client still sends would make its kernel throw the answer away.
  const linger = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(linger));
}

function answerFor(
  parserCode: string | undefined,
  headerBytes: number,
): { code: string; reason: string; message: string } {
  switch (parserCode) {
    case 'HPE_HEADER_OVERFLOW':
      return {
        code: 'RequestHeaderFieldsTooLarge',
        reason: 'Request Header Fields Too Large',
        message: `request headers exceed ${headerBytes} bytes`,
      };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { code: 'RequestTimeout', reason: 'Request Timeout', message: 'request headers took too long' };
    default:
      return { code: 'BadRequest', reason: 'Bad Request', message: 'malformed HTTP request' };
  }
}
