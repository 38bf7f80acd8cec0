import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';

/** The same client, which tells `note` of every call that writes, just before it is made; what `note` throws, the call throws. */
export function recorded(client: Kubernetes, note: (call: string) => void): Kubernetes {
  const named = (verb: string, plural: string, object: unknown) => {
    const { metadata, name } = object as { metadata?: { name?: string }; name?: string };
    note(`${verb} ${plural}/${metadata?.name ?? name ?? ''}`);
  };
  return {
    ...client,
    async create(resource, object, options) {
      named('create', resource.plural, object);
      return client.create(resource, object, options);
    },
    async replace(resource, object, options) {
      named('replace', resource.plural, object);
      return client.replace(resource, object, options);
    },
    async patch(resource, key, patch, options) {
      named('patch', resource.plural, key);
      return client.patch(resource, key, patch, options);
    },
    async apply(resource, intent, options) {
      named(`apply${options.subresource === undefined ? '' : ` ${options.subresource}`}`, resource.plural, intent);
      return client.apply(resource, intent, options);
    },
    async delete(resource, key, options) {
      named('delete', resource.plural, key);
      return client.delete(resource, key, options);
    },
    guarded: check => recorded(client.guarded(check), note),
  };
}
