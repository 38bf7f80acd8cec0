import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import type { ObjectKey } from '../../lib/kubernetes/object.ts';
import { type Secret, secrets } from '../../lib/kubernetes/resources.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { labels, MANAGER } from '../names.ts';
import { dataOf, encodedData, type SecretData } from './secret-data.ts';

/** Secrets, which the operator may get by name but neither list nor watch (operations.md §5.2). */
export interface SecretStore {
  /** Undefined when there is none. What was read in the last ten seconds is not read again. */
  read(key: Required<ObjectKey>, signal?: AbortSignal): Promise<SecretData | undefined>;
  /**
   * Adds what `missing` finds missing of what is there now, and returns all of it; creates the Secret if there is none.
   * Nothing is sent when nothing is missing. Throws MantaError `SecretChanged` when somebody else wrote it meanwhile.
   */
  complete(
    key: Required<ObjectKey>,
    missing: (found: SecretData) => SecretData | Promise<SecretData>,
    options?: { readonly type?: string; readonly signal?: AbortSignal },
  ): Promise<SecretData>;
  /** Removes entries; those that are not there are gone already. */
  removeEntries(key: Required<ObjectKey>, names: readonly string[], signal?: AbortSignal): Promise<void>;
}

const FRESH_MS = 10_000;

export function createSecretStore(deps: { readonly kubernetes: Kubernetes; readonly clock: Clock }): SecretStore {
  const { kubernetes, clock } = deps;
  const known = new Map<string, { readonly data: SecretData | undefined; readonly at: number }>();

  function remember(key: Required<ObjectKey>, data: SecretData | undefined): void {
    known.set(`${key.namespace}/${key.name}`, { data, at: clock.monotonic() });
  }

  const callOf = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { signal });

  async function create(key: Required<ObjectKey>, data: SecretData, type: string, signal?: AbortSignal): Promise<void> {
    const secret: Secret = {
      metadata: { ...key, labels: { [labels.managedBy]: MANAGER } },
      type,
      data: encodedData(data),
    };
    await kubernetes.create(secrets, secret, callOf(signal));
  }

  return {
    async read(key, signal) {
      const cached = known.get(`${key.namespace}/${key.name}`);
      if (cached !== undefined && clock.monotonic() - cached.at < FRESH_MS) return cached.data;
      const found = await kubernetes.get(secrets, key, callOf(signal));
      const data = found === undefined ? undefined : dataOf(found);
      remember(key, data);
      return data;
    },

    async complete(key, missing, { type = 'Opaque', signal } = {}) {
      const found = await kubernetes.get(secrets, key, callOf(signal));
      const present = dataOf(found);
      const added = await missing(present);
      const whole = { ...present, ...added };
      if (Object.keys(added).length > 0) {
        try {
          if (found === undefined) await create(key, added, type, signal);
          else {
            const { resourceVersion } = found.metadata;
            const body = { metadata: { resourceVersion }, data: encodedData(added) };
            await kubernetes.patch(secrets, key, { type: 'merge', body }, callOf(signal));
          }
        } catch (cause) {
          if (!isRace(cause)) throw cause;
          throw new MantaError('SecretChanged', `${key.name} was written by somebody else`, { cause });
        }
      }
      remember(key, whole);
      return whole;
    },

    async removeEntries(key, names, signal) {
      const found = dataOf(await kubernetes.get(secrets, key, callOf(signal)));
      const present = names.filter(name => found[name] !== undefined);
      if (present.length === 0) return;
      const body = { data: Object.fromEntries(present.map(name => [name, null])) };
      await kubernetes.patch(secrets, key, { type: 'merge', body }, callOf(signal));
      known.delete(`${key.namespace}/${key.name}`);
    },
  };
}

function isRace(error: unknown): boolean {
  return error instanceof MantaError && (error.code === 'ApiConflict' || error.code === 'ApiAlreadyExists');
}
