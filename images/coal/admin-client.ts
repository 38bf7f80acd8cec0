import {
  type Account,
  type AccountDetails,
  accountSchema,
  detailsSchema,
  type Key,
  keySchema,
  refusalSchema,
} from '../../lib/auth/admin-answers.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { TokenSigner } from '../../lib/region-token/region-token.ts';

/**
 * Administration of a running region over its internal listener: auth.md §13.9. Throws MantaError with the region's code
 * and message, or `RegionNotRunning`.
 */
export interface AdminClient {
  list(): Promise<Account[]>;
  get(login: string): Promise<AccountDetails | undefined>;
  put(login: string, change: { email?: string; approved?: boolean; groups?: readonly string[] }): Promise<void>;
  putKey(login: string, name: string, text: string): Promise<Key>;
  deleteKey(login: string, name: string): Promise<void>;
}

const DEADLINE_MS = 15_000;

/** `internalUrl`: of the region's internal listener; `signer` has the region's key. */
export function createAdminClient(deps: { signer: TokenSigner; internalUrl: string }): AdminClient {
  async function ask(method: string, parts: readonly string[], body?: string): Promise<Response> {
    const path = ['/admin/v1/accounts', ...parts.map(encodeURIComponent)].join('/');
    const token = deps.signer.sign({ audience: 'webapi', operation: 'admin', path });
    try {
      return await fetch(deps.internalUrl + path, {
        method,
        headers: { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(DEADLINE_MS),
        ...(body === undefined ? {} : { body }),
      });
    } catch (cause) {
      throw new MantaError('RegionNotRunning', 'the region does not answer: start it with npm start', { cause });
    }
  }
  async function insist(response: Promise<Response>): Promise<Response> {
    const answer = await response;
    if (answer.ok) return answer;
    const text = await answer.text();
    const error = refusalSchema.safeParse(parseJson(text));
    throw error.success
      ? new MantaError(error.data.code, error.data.message)
      : new MantaError('UnexpectedAnswer', `the region answered ${answer.status}: ${text.slice(0, 200)}`);
  }

  return {
    async list() {
      const lines = (await (await insist(ask('GET', []))).text()).split('\n');
      return lines.filter(line => line !== '').map(line => accountSchema.parse(JSON.parse(line)));
    },
    async get(login) {
      const answer = await ask('GET', [login]);
      if (answer.status === 404) return undefined;
      return detailsSchema.parse(await (await insist(Promise.resolve(answer))).json());
    },
    put: async (login, change) => {
      await insist(ask('PUT', [login], JSON.stringify(change)));
    },
    putKey: async (login, name, text) =>
      keySchema.parse(await (await insist(ask('PUT', [login, 'keys', name], text))).json()),
    deleteKey: async (login, name) => {
      await insist(ask('DELETE', [login, 'keys', name]));
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
