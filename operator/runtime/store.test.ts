import { createStore } from './store.ts';
import { aStored } from './testing.ts';

const labelled = (name: string, app: string, namespace = 'default') =>
  aStored(name, 1, { metadata: { labels: { app }, namespace } });

describe('a store', () => {
  it('finds objects by key, by namespace and by an index, also one that is added later', () => {
    const store = createStore();
    store.put(labelled('a', 'x'));
    store.put(labelled('b', 'y', 'other'));
    store.addIndex('app', ({ metadata }) => [metadata.labels?.app ?? '']);
    store.put(labelled('c', 'x'));
    expect(store.get({ namespace: 'other', name: 'b' })?.metadata.name).toBe('b');
    expect(store.get({ namespace: 'default', name: 'b' })).toBeUndefined();
    expect(store.list('default').map(({ metadata }) => metadata.name)).toEqual(['a', 'c']);
    expect(store.byIndex('app', 'x').map(({ metadata }) => metadata.name)).toEqual(['a', 'c']);
    expect(store.byIndex('app', 'z')).toEqual([]);
  });

  it('moves an object between the values of an index, and forgets values that nobody has', () => {
    const store = createStore();
    store.addIndex('app', ({ metadata }) => [metadata.labels?.app ?? '']);
    store.put(labelled('a', 'x'));
    store.put(labelled('a', 'y'));
    expect([store.byIndex('app', 'x'), store.byIndex('app', 'y').length]).toEqual([[], 1]);
    store.remove({ namespace: 'default', name: 'a' });
    expect([store.byIndex('app', 'y'), store.size()]).toEqual([[], 0]);
  });

  it('refuses a second meaning of an index, and one that does not exist', () => {
    const store = createStore();
    const by = () => ['1'];
    store.addIndex('one', by);
    store.addIndex('one', by);
    expect(() => store.addIndex('one', () => ['1'])).toThrow('something else');
    expect(() => store.byIndex('two', '1')).toThrow('no index');
  });
});
