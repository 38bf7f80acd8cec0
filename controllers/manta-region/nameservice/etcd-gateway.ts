import { Agent, request } from 'undici';
import { z } from 'zod';
import { MantaError } from '../../../lib/errors/manta-error.ts';

/** How one etcd is reached. */
export interface EtcdGatewayConfig {
  /** URLs of the members' client ports. */
  readonly endpoints: readonly string[];
  /** PEM of the authority that signed the members' certificates. */
  readonly ca: string;
  /** Of `root`; used once etcd asks for it. */
  readonly rootPassword: string;
}

/**
 * etcd's JSON gateway, for what the operator alone does with etcd: users, roles and members. Everything a shard needs goes
 * through `lib/coordinator`. Calls throw MantaError `EtcdUnavailable` when no member answered, and `EtcdRefused` with what
 * etcd said; `lastRefusal` is for callers to match on `grpc` codes.
 */
export interface EtcdGateway {
  /** One call at any member, as root once access control is on. `path` without `/v3/`. */
  call(path: string, body?: object): Promise<Record<string, unknown>>;
  /** One call at the member of this URL, whatever the others do. */
  callAt(endpoint: string, path: string, body?: object): Promise<Record<string, unknown>>;
  /** Whether etcd takes this password for this user; computing that takes etcd about 70 ms of a core. */
  accepts(user: string, password: string): Promise<boolean>;
  close(): Promise<void>;
}

const DEADLINE_MS = 3_000;
/** gRPC status codes that mean "ask another member". */
const ELSEWHERE = new Set([4, 14]);
const refusalSchema = z.looseObject({ code: z.int().optional(), message: z.string().optional() });

/** Connects with the first call. */
export function createEtcdGateway(config: EtcdGatewayConfig): EtcdGateway {
  const agent = new Agent({ connect: { ca: config.ca, timeout: DEADLINE_MS }, connections: 2 });
  let token: string | undefined;

  async function post(endpoint: string, path: string, body: object): Promise<Record<string, unknown>> {
    const { statusCode, body: answer } = await request(`${endpoint}/v3/${path}`, {
      method: 'POST',
      dispatcher: agent,
      headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { authorization: token }) },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(DEADLINE_MS),
    }).catch(cause => {
      throw new MantaError('EtcdUnavailable', `${endpoint}: ${(cause as Error).message}`, { cause });
    });
    const text = await answer.text();
    if (statusCode === 200) return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
    const { code, message } = refusalSchema.safeParse(parseJson(text)).data ?? {};
    const said = `${path}: ${message ?? `HTTP ${statusCode}`}`;
    throw new MantaError(code !== undefined && ELSEWHERE.has(code) ? 'EtcdUnavailable' : 'EtcdRefused', said);
  }

  /** Refusals that a token cures, whether none was sent or an old one. */
  async function withToken(endpoint: string, path: string, body: object): Promise<Record<string, unknown>> {
    try {
      return await post(endpoint, path, body);
    } catch (error) {
      if (!isAboutToken(error)) throw error;
      token = undefined;
      const answer = await post(endpoint, 'auth/authenticate', { name: 'root', password: config.rootPassword });
      token = z.string().parse(answer.token);
      return post(endpoint, path, body);
    }
  }

  async function anywhere<T>(ask: (endpoint: string) => Promise<T>): Promise<T> {
    const failures: string[] = [];
    for (const endpoint of config.endpoints) {
      try {
        return await ask(endpoint);
      } catch (error) {
        if (!(error instanceof MantaError) || error.code !== 'EtcdUnavailable') throw error;
        failures.push(error.message);
      }
    }
    throw new MantaError('EtcdUnavailable', `etcd does not answer: ${failures.join('; ')}`);
  }

  return {
    call: (path, body = {}) => anywhere(endpoint => withToken(endpoint, path, body)),
    callAt: (endpoint, path, body = {}) => withToken(endpoint, path, body),
    accepts: (name, password) =>
      anywhere(async endpoint => {
        try {
          await post(endpoint, 'auth/authenticate', { name, password });
          return true;
        } catch (error) {
          if (error instanceof MantaError && /authentication failed/.test(error.message)) return false;
          throw error;
        }
      }),
    close: () => agent.close(),
  };
}

function isAboutToken(error: unknown): boolean {
  return (
    error instanceof MantaError &&
    error.code === 'EtcdRefused' &&
    /user name is empty|invalid auth token|auth revision in header is old|permission denied/.test(error.message)
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
