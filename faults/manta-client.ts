import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';

/** How a client proves who it is: an account's login, the MD5 fingerprint of its key, and the private key. */
export interface Identity {
  readonly login: string;
  readonly keyId: string;
  readonly privateKey: KeyObject;
}

/** A complete answer of the API. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** `code` of a JSON error body. */
  readonly code: string | undefined;
}

export interface MantaClient {
  readonly login: string;
  /** One signed request; `path` is percent-encoded and starts with the login. Rejects when the connection breaks. */
  request(method: string, path: string, options?: RequestOptions): Promise<Answer>;
  authorization(): Record<string, string>;
  close(): void;
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** Default 60 s. */
  readonly timeoutMs?: number;
}

export function readIdentity(login: string, keyId: string, pem: string): Identity {
  return { login, keyId, privateKey: createPrivateKey(pem) };
}

/**
 * A small signing client for harnesses that need thousands of requests in flight; what users run is the `manta` package.
 * One signature serves all requests of a second, because only the date is signed.
 */
export function createMantaClient(url: string, identity: Identity, maxSockets = 512): MantaClient {
  const { hostname, port } = new URL(url);
  const agent = new Agent({ keepAlive: true, maxSockets });
  let signedDate = '';
  let signature = '';

  function authorization(): Record<string, string> {
    const date = new Date().toUTCString();
    if (date !== signedDate) {
      signedDate = date;
      signature = sign('sha256', Buffer.from(`date: ${date}`), identity.privateKey).toString('base64');
    }
    const keyId = `/${identity.login}/keys/${identity.keyId}`;
    return {
      date,
      authorization: `Signature keyId="${keyId}",algorithm="rsa-sha256",headers="date",signature="${signature}"`,
    };
  }

  function request(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers: Record<string, string> = { ...authorization(), ...options.headers };
      if (options.body !== undefined) headers['content-length'] ??= String(options.body.length);
      const outgoing = httpRequest({ hostname, port, agent, method, path, headers }, response => {
        buffer(response).then(
          body => resolve({ status: response.statusCode ?? 0, headers: response.headers, body, code: codeIn(body) }),
          reject,
        );
      });
      outgoing.setTimeout(options.timeoutMs ?? 60_000, () =>
        outgoing.destroy(new Error(`${method} ${path} timed out`)),
      );
      outgoing.on('error', reject);
      outgoing.end(options.body);
    });
  }

  return { login: identity.login, request, authorization, close: () => agent.destroy() };
}

function codeIn(body: Buffer): string | undefined {
  if (body[0] !== 0x7b) return undefined;
  try {
    const parsed: unknown = JSON.parse(body.toString('utf8'));
    return typeof parsed === 'object' && parsed !== null && 'code' in parsed ? String(parsed.code) : undefined;
  } catch {
    return undefined;
  }
}
