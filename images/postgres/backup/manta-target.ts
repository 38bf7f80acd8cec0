import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { parseKey } from 'sshpk';
import { request } from 'undici';
import { z } from 'zod';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { BackupTarget, Stored } from './target.ts';

/** Who writes the backups. */
export interface MantaIdentity {
  /** A sub-user of the account in the address; undefined: the account itself. */
  readonly user?: string | undefined;
  /** PEM of its private key. */
  readonly privateKey: string;
}

const PAGE = 256;
const ANSWER_MS = 60_000;
const ALGORITHMS: Readonly<Record<string, string>> = {
  rsa: 'rsa-sha256',
  ec: 'ecdsa-sha256',
  ed25519: 'ed25519-sha512',
};

const entrySchema = z.looseObject({
  name: z.string(),
  type: z.string(),
  size: z.number().optional(),
  mtime: z.string(),
});

/**
 * A directory of a Manta region as a target: `http(s)://host:port/account/stor/directory`. What is stored is durable when
 * the region says so. An answer that is none of the expected is MantaError `BackupTargetFailed`. Throws MantaError
 * `BackupTargetUnknown` for an address or a key that cannot be one.
 */
export function createMantaTarget(address: string, identity: MantaIdentity): BackupTarget {
  const { origin, pathname } = new URL(address);
  const root = pathname.replace(/\/+$/, '');
  const [, account = '', ...below] = root.split('/');
  if (account === '' || below.length < 2)
    throw new MantaError('BackupTargetUnknown', `not a directory of an account: ${address}`);
  const authorization = createAuthorization(decodeURIComponent(account), identity);
  const made = new Set<string>();

  async function call(method: 'GET' | 'PUT' | 'DELETE', path: string, options: CallOptions) {
    const { signal, headers = {}, body } = options;
    const answer = await request(`${origin}${path}`, {
      method,
      headers: { ...authorization(), ...headers },
      signal,
      headersTimeout: ANSWER_MS,
      bodyTimeout: ANSWER_MS,
      ...(body === undefined ? {} : { body }),
    });
    if (answer.statusCode < 300) return answer;
    const said = (await answer.body.text()).slice(0, 200);
    if (answer.statusCode === 404) return undefined;
    throw new MantaError('BackupTargetFailed', `${method} ${path}: ${answer.statusCode} ${said}`);
  }

  async function mustCall(method: 'PUT', path: string, options: CallOptions) {
    const answer = await call(method, path, options);
    if (answer === undefined) throw new MantaError('BackupTargetFailed', `${method} ${path}: there is no such place`);
    await answer.body.dump();
  }

  /** Every level below `stor`, the target's own included. */
  async function makeDirectory(directory: string, signal: AbortSignal): Promise<void> {
    const levels = directory.split('/');
    for (let count = 4; count <= levels.length; count += 1) {
      const level = levels.slice(0, count).join('/');
      if (made.has(level)) continue;
      await mustCall('PUT', level, { signal, headers: { 'content-type': 'application/json; type=directory' } });
      made.add(level);
    }
  }

  async function page(directory: string, marker: string | undefined, signal: AbortSignal): Promise<Stored[]> {
    const query = new URLSearchParams({ limit: String(PAGE), ...(marker === undefined ? {} : { marker }) });
    const answer = await call('GET', `${root}/${directory}?${query}`, { signal });
    const found: Stored[] = [];
    if (answer === undefined) return found;
    for await (const line of createInterface({ input: answer.body })) {
      if (line === '') continue;
      const { name, size, mtime } = entrySchema.parse(JSON.parse(line));
      found.push({ name, sizeBytes: size ?? 0, modifiedAt: Date.parse(mtime) });
    }
    return found;
  }

  return {
    url: address,
    async put(path, content, { maxBytes }, signal) {
      const at = `${root}/${path}`;
      await makeDirectory(at.slice(0, at.lastIndexOf('/')), signal);
      const headers = {
        'content-type': 'application/octet-stream',
        'max-content-length': String(maxBytes),
      };
      await mustCall('PUT', at, { signal, headers, body: content });
    },
    async get(path, signal) {
      return (await call('GET', `${root}/${path}`, { signal }))?.body;
    },
    async list(directory, signal) {
      const all: Stored[] = [];
      for (;;) {
        const marker = all.at(-1)?.name;
        const found = await page(directory, marker, signal);
        all.push(...found.filter(({ name }) => name !== marker));
        if (found.length < PAGE) return all;
      }
    },
    async remove(path, signal) {
      const at = `${root}/${path}`;
      const answer = await call('DELETE', at, { signal });
      await answer?.body.dump();
      made.delete(at);
    },
  };
}

interface CallOptions {
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readable;
}

/** Headers that prove who asks, now: the date is signed. */
function createAuthorization(account: string, { user, privateKey }: MantaIdentity): () => Record<string, string> {
  const key = readKey(privateKey);
  const algorithm = ALGORITHMS[key.asymmetricKeyType ?? ''];
  if (algorithm === undefined) throw new MantaError('BackupTargetUnknown', `not a key that Manta knows`);
  const who = user === undefined ? account : `${account}/${user}`;
  const keyId = `/${who}/keys/${fingerprint(key)}`;
  const digest = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  return () => {
    const date = new Date().toUTCString();
    const signature = sign(digest, Buffer.from(`date: ${date}`), key).toString('base64');
    const parameters = { keyId, algorithm, headers: 'date', signature };
    const text = Object.entries(parameters).map(([name, value]) => `${name}="${value}"`);
    return { date, authorization: `Signature ${text.join(',')}` };
  };
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new MantaError('BackupTargetUnknown', 'the key of the backups cannot be read', { cause });
  }
}

/** Colon-hex MD5 of the public key as SSH writes it. */
function fingerprint(key: KeyObject): string {
  const pem = createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();
  return parseKey(pem, 'pem').fingerprint('md5').toString('hex');
}
