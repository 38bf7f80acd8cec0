import { request } from 'undici';
import { z } from 'zod';
import { MantaError } from '../lib/errors/manta-error.ts';
import type { TokenSigner } from '../lib/region-token/region-token.ts';

const ringSchema = z.object({
  version: z.int(),
  digest: z.string(),
  ranges: z.array(z.object({ lo: z.int(), hi: z.int(), shard: z.int(), epoch: z.int() })),
});
/** The slot map: metadata.md §13.1. */
export type SlotMap = Readonly<z.infer<typeof ringSchema>>;

const nodeSchema = z.object({
  storageId: z.string(),
  baseUrl: z.string(),
  incarnation: z.string(),
  reportedIncarnation: z.string(),
  writes: z.enum(['enabled', 'disabled']),
  lifecycle: z.enum(['active', 'draining', 'drained', 'retired']),
  outOfService: z.boolean(),
  totalBytes: z.number(),
  availBytes: z.number(),
  heartbeatAgeMs: z.number(),
});
/** A storage node as the control database knows it: metadata.md §14.3. */
export type ReportedNode = Readonly<z.infer<typeof nodeSchema>>;

const accountSchema = z.object({
  keys: z.array(z.object({ md5Fingerprint: z.string() })),
  groups: z.array(z.string()),
});
/** What the operator looks at of an account. */
export type ReportedAccount = Readonly<z.infer<typeof accountSchema>>;

const errorSchema = z.object({ code: z.string(), message: z.string() });

/**
 * What the operator asks of webapi's control port, because it holds no database credentials itself (operations.md §4.1).
 * Throws MantaError `WebapiUnavailable`, or webapi's own code and message. Every call may be repeated.
 */
export interface WebapiClient {
  /** Undefined until there is one. */
  slotMap(): Promise<SlotMap | undefined>;
  /** Create-only: an existing one stays and is returned. */
  createSlotMap(shards: readonly number[]): Promise<SlotMap>;
  /** Undefined when there is no such account. */
  account(login: string): Promise<ReportedAccount | undefined>;
  putAccount(login: string, account: { readonly email: string; readonly groups: readonly string[] }): Promise<void>;
  putKey(login: string, name: string, publicKey: string): Promise<void>;
  storageNodes(): Promise<readonly ReportedNode[]>;
  /** False when it does not know the node. */
  setStorageNode(
    storageId: string,
    change: {
      readonly writes?: ReportedNode['writes'];
      readonly lifecycle?: ReportedNode['lifecycle'];
      readonly acceptIncarnation?: string;
    },
  ): Promise<boolean>;
}

const DEADLINE_MS = 5_000;

/** `url`: of webapi's control port. */
export function createWebapiClient(
  deps: { readonly signer: TokenSigner },
  config: { readonly url: string },
): WebapiClient {
  async function ask(method: 'GET' | 'POST' | 'PUT', path: string, body?: unknown, type = 'application/json') {
    const token = deps.signer.sign({ audience: 'webapi', operation: 'admin', path });
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const { statusCode, body: answer } = await request(config.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(text === undefined ? {} : { 'content-type': type }) },
      body: text ?? null,
      signal: AbortSignal.timeout(DEADLINE_MS),
    }).catch(cause => {
      throw new MantaError('WebapiUnavailable', `webapi does not answer: ${(cause as Error).message}`, { cause });
    });
    const said = parseJson(await answer.text());
    if (statusCode < 300) return said;
    const error = errorSchema.safeParse(said).data;
    throw new MantaError(error?.code ?? 'WebapiUnavailable', `webapi: ${error?.message ?? `HTTP ${statusCode}`}`);
  }

  async function unlessAbsent<T>(answer: Promise<T>): Promise<T | undefined> {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof MantaError && error.code === 'ResourceNotFound') return undefined;
      throw error;
    }
  }

  const accountPath = (...parts: string[]) => ['/admin/v1/accounts', ...parts.map(encodeURIComponent)].join('/');
  return {
    async slotMap() {
      const found = await unlessAbsent(ask('GET', '/internal/v1/ring'));
      return found === undefined ? undefined : ringSchema.parse(found);
    },
    createSlotMap: async shards => ringSchema.parse(await ask('POST', '/internal/v1/ring', { shards })),
    async account(login) {
      const found = await unlessAbsent(ask('GET', accountPath(login)));
      return found === undefined ? undefined : accountSchema.parse(found);
    },
    async putAccount(login, account) {
      await ask('PUT', accountPath(login), { ...account, approved: true });
    },
    async putKey(login, name, publicKey) {
      await ask('PUT', accountPath(login, 'keys', name), publicKey, 'text/plain');
    },
    storageNodes: async () => z.array(nodeSchema).parse(await ask('GET', '/internal/v1/storage')),
    async setStorageNode(storageId, change) {
      const answer = ask('PUT', `/internal/v1/storage/${encodeURIComponent(storageId)}`, change);
      return (await unlessAbsent(answer.then(() => true))) ?? false;
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
