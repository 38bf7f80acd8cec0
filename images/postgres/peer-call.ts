import { type IncomingMessage, request } from 'node:http';
import { codeOf } from '../../lib/errors/manta-error.ts';

/**
 * What came of asking another sitter. `refused`: nobody listens there, or whoever did hung up; `silent`: nothing came in
 * time, which says nothing about the other side.
 */
export type PeerReply =
  | { readonly kind: 'answered'; readonly body: unknown }
  | { readonly kind: 'refused' }
  | { readonly kind: 'silent' };

const REFUSALS = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ECONNRESET', 'EPIPE']);
const MAX_BYTES = 64 * 1024;

/** Whether an error of a connection is the other side's word (replication.md §4.4), and not only a lack of it. */
export function isRefusal(error: unknown): boolean {
  const code = codeOf(error) ?? '';
  // Something that does not speak HTTP listens there.
  return REFUSALS.has(code) || code.startsWith('HPE_');
}

/**
 * GETs a path of a sitter on a connection of its own, so that it is the listening port that answers and not some
 * connection of the past. A whole answer that is not JSON has the body undefined. Never throws.
 */
export function askPeer(sitterUrl: string, path: string, deadlineMs: number): Promise<PeerReply> {
  return new Promise(resolve => {
    const call = request(`${sitterUrl}${path}`, { agent: false, signal: AbortSignal.timeout(deadlineMs) });
    const failed = (error: unknown) => resolve({ kind: isRefusal(error) ? 'refused' : 'silent' });
    call.on('error', failed);
    call.on('response', response => {
      bodyOf(response).then(body => resolve({ kind: 'answered', body }), failed);
    });
    call.end();
  });
}

async function bodyOf(response: IncomingMessage): Promise<unknown> {
  let text = '';
  response.setEncoding('utf8');
  for await (const part of response) {
    text += part;
    if (text.length > MAX_BYTES) {
      response.destroy();
      return undefined;
    }
  }
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
