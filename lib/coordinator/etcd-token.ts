import type { Clock } from '../lifecycle/clock.ts';
import type { Reply } from './reply.ts';

/** Asked anew for every token, so that a password changed in a mounted file is found (replication.md §6.7). */
export type EtcdCredentials = () => Promise<{ readonly username: string; readonly password: string }>;

/** The token of one endpoint, shared by its calls. */
export interface EtcdToken {
  /** Undefined without credentials, or where etcd does not ask for any. When `within` aborts first: `unsent`. */
  get(within: AbortSignal): Promise<Reply<string | undefined>>;
  /** Makes the next `get` ask for a new one, unless that has happened since `token` was given out. */
  forget(token: string | undefined): void;
}

/** After a refused password etcd is asked again no sooner: it computes long over each. */
const REFUSED_MS = 1_000;

/** `authenticate` calls etcd with `{ name, password }`. */
export function createEtcdToken(
  deps: { clock: Clock },
  credentials: EtcdCredentials | undefined,
  authenticate: (request: { name: string; password: string }) => Promise<Reply<{ readonly token: string }>>,
): EtcdToken {
  let current: Promise<Reply<string | undefined>> | undefined;
  let known: string | undefined;
  let refused: { readonly at: number; readonly reply: Reply<never> } | undefined;

  async function fetch(): Promise<Reply<string | undefined>> {
    if (credentials === undefined) return { kind: 'answered', value: undefined };
    if (refused !== undefined && deps.clock.monotonic() - refused.at < REFUSED_MS) return refused.reply;
    refused = undefined;
    const { username, password } = await credentials();
    const reply = await authenticate({ name: username, password });
    if (reply.kind === 'answered') {
      known = reply.value.token;
      return { kind: 'answered', value: known };
    }
    if (reply.kind !== 'refused') return { kind: 'unsent', message: `no token: ${reply.message}` };
    if (reply.message.includes('authentication is not enabled')) return { kind: 'answered', value: undefined };
    refused = { at: deps.clock.monotonic(), reply };
    return reply;
  }

  function begin(): Promise<Reply<string | undefined>> {
    const begun = fetch()
      .catch((error): Reply<never> => ({ kind: 'unsent', message: `no token: ${error}` }))
      .then(reply => {
        if (reply.kind !== 'answered' && current === begun) current = undefined;
        return reply;
      });
    return begun;
  }

  return {
    get(within) {
      current ??= begin();
      const late = new Promise<Reply<never>>(resolve => {
        const giveUp = () => resolve({ kind: 'unsent', message: 'no token within the deadline' });
        if (within.aborted) giveUp();
        within.addEventListener('abort', giveUp, { once: true });
      });
      return Promise.race([current, late]);
    },
    forget(token) {
      if (token !== known) return;
      known = undefined;
      current = undefined;
    },
  };
}

/** Whether etcd's refusal says that the token, or its absence, is to blame, and not the call. */
export function isStale(message: string): boolean {
  return /invalid auth token|user name is empty|revision of auth store is old|authentication failed/.test(message);
}
