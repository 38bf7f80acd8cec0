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
import { apiErrorOf } from '../../lib/kubernetes/api-error.ts';
import { serviceProxyPath } from '../../lib/kubernetes/service-proxy.ts';
import { readText } from '../../lib/kubernetes/transport.ts';
import type { CommandContext } from '../command.ts';
import { createAccess } from './access.ts';

/**
 * Accounts of the region, asked of webapi's `/admin/v1` through the API server (auth.md §13.9, operations.md §5.2). Throws
 * MantaError with webapi's code and message, `WebapiUnavailable`, or ApiError where the API server does not pass it on.
 */
export interface AccountClient {
  list(): Promise<readonly Account[]>;
  /** Throws MantaError `ResourceNotFound`. */
  get(login: string): Promise<AccountDetails>;
  put(
    login: string,
    change: { readonly email?: string; readonly approved?: boolean; readonly groups?: readonly string[] },
  ): Promise<void>;
  putKey(login: string, name: string, publicKey: string): Promise<Key>;
  deleteKey(login: string, name: string): Promise<void>;
}

const MAX_ANSWER_BYTES = 64 * 2 ** 20;

/** Opens it, with a token for each request. Throws as `createAccess` does. */
export async function openAccounts(context: CommandContext): Promise<AccountClient> {
  const { kubernetes, namespace, signal } = context;
  const signer = await createAccess(context);

  async function ask(method: 'GET' | 'PUT' | 'DELETE', parts: readonly string[], body?: string): Promise<string> {
    const path = ['/admin/v1/accounts', ...parts.map(encodeURIComponent)].join('/');
    const token = signer.sign({ audience: 'webapi', operation: 'admin', path });
    const answer = await kubernetes.open({
      method,
      path: serviceProxyPath({ namespace, service: 'webapi', port: 'control' }, path),
      // The API server keeps Authorization for itself.
      headers: { 'x-manta-access': `Bearer ${token}`, 'content-type': 'text/plain' },
      ...(body === undefined ? {} : { body }),
      signal,
    });
    const text = await readText(answer.body, MAX_ANSWER_BYTES);
    if (answer.status < 300) return text;
    throw failureOf(answer.status, text);
  }

  return {
    async list() {
      const lines = (await ask('GET', [])).split('\n').filter(line => line !== '');
      return lines.map(line => accountSchema.parse(JSON.parse(line)));
    },
    get: async login => detailsSchema.parse(JSON.parse(await ask('GET', [login]))),
    put: async (login, change) => void (await ask('PUT', [login], JSON.stringify(change))),
    putKey: async (login, name, publicKey) =>
      keySchema.parse(JSON.parse(await ask('PUT', [login, 'keys', name], publicKey))),
    deleteKey: async (login, name) => void (await ask('DELETE', [login, 'keys', name])),
  };
}

/** Both speak JSON: webapi with a code, the API server with a Status. */
function failureOf(status: number, text: string): MantaError {
  const said = refusalSchema.safeParse(parseJson(text)).data;
  if (said !== undefined && !text.includes('"kind":"Status"')) return new MantaError(said.code, said.message);
  if (status === 503) {
    const why = apiErrorOf({ status, text, request: 'webapi' }).message;
    return new MantaError('WebapiUnavailable', `${why}: kubectl get pods -l manta.io/service=webapi`);
  }
  return apiErrorOf({ status, text, request: 'services/proxy webapi:control' });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
