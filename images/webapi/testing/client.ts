import { type KeyObject, sign } from 'node:crypto';
import { type Agent, request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { TestKeyPair } from '../../../lib/auth/testing.ts';

/** A complete answer. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  /** `code` of an error body; undefined for anything else. */
  readonly code: string | undefined;
}

export interface RequestOptions {
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Buffer;
  /** Sends the body without a length. */
  readonly chunked?: boolean;
  /** Signs; false sends the request as nobody's. */
  readonly signed?: boolean;
  /** How far the signed date lies from now. */
  readonly dateOffsetMs?: number;
}

/** A small signing client of one account: what the tests of the public API speak through. */
export interface TestClient {
  readonly login: string;
  request(method: string, path: string, options?: RequestOptions): Promise<Answer>;
  /** `date` and `authorization` of a request made now. */
  credentials(offsetMs?: number): { readonly date: string; readonly authorization: string };
  /** Creates a directory; its parent must exist. */
  mkdir(path: string): Promise<void>;
  put(path: string, body: string | Buffer, headers?: OutgoingHttpHeaders): Promise<Answer>;
}

const ALGORITHMS = { rsa: 'rsa-sha256', ec: 'ecdsa-sha256', ed25519: 'ed25519-sha512' } as const;

export function createTestClient(url: string, agent: Agent, login: string, pair: TestKeyPair): TestClient {
  const { hostname, port } = new URL(url);
  const keyId = `/${login}/keys/${pair.view.md5Fingerprint}`;
  const { privateKey } = pair;
  const algorithm = ALGORITHMS[privateKey.asymmetricKeyType as keyof typeof ALGORITHMS];

  function credentials(offsetMs = 0): { date: string; authorization: string } {
    const date = new Date(Date.now() + offsetMs).toUTCString();
    const signature = signText(`date: ${date}`, privateKey);
    return {
      date,
      authorization: `Signature keyId="${keyId}",algorithm="${algorithm}",headers="date",signature="${signature}"`,
    };
  }

  function request(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const { body, signed = true, chunked = false, dateOffsetMs } = options;
    const headers = { ...(signed ? credentials(dateOffsetMs) : {}), ...options.headers };
    if (body !== undefined && !chunked) headers['content-length'] ??= Buffer.byteLength(body);
    if (chunked) headers['transfer-encoding'] = 'chunked';
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest({ hostname, port, agent, method, path, headers }, response => {
        const { statusCode: status = 0, headers: received } = response;
        buffer(response).then(bytes => resolve(answerOf(status, received, bytes)), reject);
      });
      outgoing.on('error', reject);
      // As bytes: Node would encode the headers before a text in the text's own way, and theirs is Latin-1.
      const bytes = body === undefined ? undefined : Buffer.from(body);
      if (headers.expect === undefined) outgoing.end(bytes);
      else outgoing.on('continue', () => outgoing.end(bytes));
    });
  }

  return {
    login,
    request,
    credentials,
    mkdir: async path => {
      const type = { 'content-type': 'application/json; type=directory' };
      const { status, text } = await request('PUT', path, { headers: type });
      if (status !== 204) throw new Error(`mkdir ${path}: ${status} ${text}`);
    },
    put: (path, body, headers = {}) => request('PUT', path, { body, headers }),
  };
}

/** Signs as clients do: Ed25519 hashes by itself. */
export function signText(text: string, privateKey: KeyObject): string {
  const digest = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  return sign(digest, Buffer.from(text), privateKey).toString('base64');
}

function answerOf(status: number, headers: IncomingHttpHeaders, body: Buffer): Answer {
  const text = body.toString();
  const isError = status >= 400 && headers['content-type'] === 'application/json' && text !== '';
  return { status, headers, body, text, code: isError ? (JSON.parse(text) as { code: string }).code : undefined };
}

/** A bare connection, for what no client library would send. */
export interface RawConnection {
  write(text: string | Buffer): void;
  /** Everything received so far. */
  received(): string;
  /** Resolves once what was received matches; rejects when the connection ends before. */
  until(pattern: RegExp): Promise<string>;
  /** Resolves with everything received once the server has closed the connection. */
  ended(): Promise<string>;
  destroy(): void;
}

export function openRaw(url: string): RawConnection {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let received = '';
  let isOver = false;
  const watchers = new Set<() => void>();
  const notify = () => {
    for (const watcher of [...watchers]) watcher();
  };
  socket.on('data', chunk => {
    received += chunk.toString('latin1');
    notify();
  });
  // A reset is one of the ways in which a connection ends.
  socket.on('error', () => {});
  socket.on('close', () => {
    isOver = true;
    notify();
  });

  function wait(isDone: () => boolean): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (isDone()) resolve(received);
        else if (isOver) reject(new Error(`the connection ended after: ${received}`));
        else return;
        watchers.delete(look);
      };
      watchers.add(look);
      look();
    });
  }

  return {
    write: text => {
      socket.write(text);
    },
    received: () => received,
    until: pattern => wait(() => pattern.test(received)),
    ended: () => wait(() => isOver),
    destroy: () => socket.destroy(),
  };
}
