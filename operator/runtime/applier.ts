import { createHash } from 'node:crypto';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import { type Intent, type KubernetesObject, keyOf, type Stored, textOfKey } from '../../lib/kubernetes/object.ts';
import { apiVersionOf, type Resource } from '../../lib/kubernetes/resource.ts';
import type { Informer } from './informer.ts';
import { fieldsAppliedBy, isApplied, valuesIn } from './managed-fields.ts';

export interface ApplyOptions {
  readonly subresource?: 'status';
  readonly signal?: AbortSignal;
}

/** What an apply came to. */
export interface Applied<T extends KubernetesObject> {
  readonly object: Stored<T>;
  /** `unchanged`: nothing was sent, or the server found nothing to do. */
  readonly outcome: 'created' | 'changed' | 'unchanged';
}

/**
 * Server-side apply by one field manager, that sends nothing when nothing would change: so a reconcile applies all it
 * wants every time, and an idle controller is silent. What someone else made of an owned field is set right, what the
 * intent no longer names is removed.
 */
export interface Applier {
  /** True when `apply` would send something. */
  wouldSend<T extends KubernetesObject>(informer: Informer<T>, intent: Intent<T>, options?: ApplyOptions): boolean;
  /** Compares with the informer's copy, and puts the answer into its cache. Throws ApiError. */
  apply<T extends KubernetesObject>(
    informer: Informer<T>,
    intent: Intent<T>,
    options?: ApplyOptions,
  ): Promise<Applied<T>>;
  /** The same for what no informer may watch; `current` is what a `get` has just said. */
  applyTo<T extends KubernetesObject>(
    resource: Resource<T>,
    current: Stored<T> | undefined,
    intent: Intent<T>,
    options?: ApplyOptions,
  ): Promise<Applied<T>>;
}

/** So many objects whose values the server writes in a form of its own are remembered; one more apply each beyond. */
const MAX_REMEMBERED = 20_000;

/** What was applied, and what the server made of it. */
interface Memory {
  readonly intent: string;
  readonly outcome: string;
}

export function createApplier(
  deps: { readonly kubernetes: Pick<Kubernetes, 'apply'> },
  config: { readonly fieldManager: string },
): Applier {
  const { fieldManager } = config;
  const memories = new Map<string, Memory>();

  function isDone(current: Stored<KubernetesObject>, text: string, place: string, options: ApplyOptions): boolean {
    const fields = fieldsAppliedBy(current, fieldManager, options.subresource);
    if (fields === undefined) return false;
    if (isApplied(JSON.parse(text), current, fields)) return true;
    const memory = memories.get(place);
    if (memory === undefined || memory.intent !== digest(text)) return false;
    return memory.outcome === outcomeOf(current, options);
  }

  function outcomeOf(object: Stored<KubernetesObject>, { subresource }: ApplyOptions): string {
    const fields = fieldsAppliedBy(object, fieldManager, subresource) ?? {};
    return digest(JSON.stringify([object.metadata.uid, fields, valuesIn(fields, object)]));
  }

  function remember(object: Stored<KubernetesObject>, text: string, place: string, options: ApplyOptions): void {
    memories.delete(place);
    if (isDone(object, text, place, options)) return;
    memories.set(place, { intent: digest(text), outcome: outcomeOf(object, options) });
    const [oldest] = memories.keys();
    if (memories.size > MAX_REMEMBERED && oldest !== undefined) memories.delete(oldest);
  }

  async function applyTo<T extends KubernetesObject>(
    resource: Resource<T>,
    current: Stored<T> | undefined,
    intent: Intent<T>,
    options: ApplyOptions = {},
  ): Promise<Applied<T>> {
    const text = contentOf(intent);
    const place = placeOf(resource, intent, options);
    if (current !== undefined && isDone(current, text, place, options))
      return { object: current, outcome: 'unchanged' };
    const object = await deps.kubernetes.apply(resource, intent, { ...options, fieldManager, force: true });
    remember(object, text, place, options);
    if (current?.metadata.uid !== object.metadata.uid) return { object, outcome: 'created' };
    const isSame = current.metadata.resourceVersion === object.metadata.resourceVersion;
    return { object, outcome: isSame ? 'unchanged' : 'changed' };
  }

  return {
    applyTo,
    wouldSend(informer, intent, options = {}) {
      const current = informer.get(keyOf(intent));
      const place = placeOf(informer.resource, intent, options);
      return current === undefined || !isDone(current, contentOf(intent), place, options);
    },
    async apply(informer, intent, options) {
      const applied = await applyTo(informer.resource, informer.get(keyOf(intent)), intent, options);
      informer.observe(applied.object);
      return applied;
    },
  };
}

/** What is applied, as JSON has it; without the precondition of to what. */
function contentOf(intent: Pick<Intent<KubernetesObject>, 'metadata'>): string {
  const { uid: _u, resourceVersion: _v, ...metadata } = intent.metadata;
  return JSON.stringify({ ...intent, metadata });
}

function placeOf(
  resource: Resource,
  { metadata }: Pick<Intent<KubernetesObject>, 'metadata'>,
  { subresource }: ApplyOptions,
): string {
  return `${apiVersionOf(resource)}/${resource.plural}/${textOfKey(keyOf({ metadata }))}/${subresource ?? ''}`;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}
