import fc from 'fast-check';
import { configMaps } from '../../lib/kubernetes/resources.ts';
import { createInformer } from './informer.ts';
import { aStored, silent } from './testing.ts';

function anInformer() {
  const { informer, sink } = createInformer({ logger: silent }, { resource: configMaps });
  const told: string[] = [];
  informer.subscribe(change => {
    const initial = change.kind === 'added' && change.isInitial ? 'initial ' : '';
    told.push(`${initial}${change.kind} ${change.object.metadata.name}@${change.object.metadata.resourceVersion}`);
  });
  const list = (version: number, ...objects: ReturnType<typeof aStored>[]) => {
    sink.listStarted();
    for (const object of objects) sink.listed(object);
    sink.listEnded(String(version));
  };
  const versions = () => informer.list().map(({ metadata }) => `${metadata.name}@${metadata.resourceVersion}`);
  return { informer, sink, told, list, versions };
}

describe('an informer', () => {
  it('has synced when the first list is complete, and tells what it held as initial', () => {
    const { informer, sink, told } = anInformer();
    sink.listStarted();
    sink.listed(aStored('a', 1));
    expect(informer.hasSynced()).toBe(false);
    sink.listEnded('5');
    sink.told('ADDED', aStored('b', 6));
    expect(informer.hasSynced()).toBe(true);
    expect(told).toEqual(['initial added a@1', 'added b@6']);
  });

  it('tells a late subscriber of everything that is there', () => {
    const { informer, list } = anInformer();
    list(5, aStored('a', 1), aStored('b', 2));
    const seen: string[] = [];
    informer.subscribe(change => seen.push(`${change.kind} ${change.object.metadata.name}`));
    expect(seen).toEqual(['added a', 'added b']);
  });

  it('makes the events of what a watch has missed from the next list', () => {
    const { list, told } = anInformer();
    list(5, aStored('a', 1), aStored('b', 2), aStored('c', 3));
    told.length = 0;
    list(9, aStored('a', 1), aStored('b', 7), aStored('d', 8));
    expect(told).toEqual(['updated b@7', 'added d@8', 'deleted c@3']);
  });

  it('knows an object that was made again under its name', () => {
    const { list, told } = anInformer();
    list(5, aStored('a', 1));
    told.length = 0;
    list(9, aStored('a', 8, { metadata: { uid: 'other' } }));
    expect(told).toEqual(['deleted a@1', 'added a@8']);
  });

  it('keeps everything when a list breaks off', () => {
    const { sink, list, versions } = anInformer();
    list(5, aStored('a', 1), aStored('b', 2));
    sink.listStarted();
    sink.listed(aStored('a', 1));
    list(7, aStored('b', 2));
    expect(versions()).toEqual(['b@2']);
  });

  it('goes on when a handler throws', () => {
    const { informer, sink, told } = anInformer();
    informer.subscribe(() => {
      throw new Error('mine');
    });
    sink.told('ADDED', aStored('a', 1));
    sink.told('ADDED', aStored('b', 2));
    expect(told).toHaveLength(2);
  });

  it('shows an own write at once, and skips what the watch still tells of before it', () => {
    const { informer, sink, list, told, versions } = anInformer();
    list(5, aStored('a', 3));
    told.length = 0;
    informer.observe(aStored('a', 8));
    sink.told('MODIFIED', aStored('a', 7));
    expect(versions()).toEqual(['a@8']);
    sink.told('MODIFIED', aStored('a', 8));
    sink.told('MODIFIED', aStored('a', 9));
    expect(told).toEqual(['updated a@8', 'updated a@9']);
  });

  it('does not bring back by an own write what the watch has told to be gone', () => {
    const { informer, sink, list, versions } = anInformer();
    list(5, aStored('a', 3));
    sink.told('DELETED', aStored('a', 9));
    informer.observe(aStored('a', 8));
    expect(versions()).toEqual([]);
  });

  it('keeps an own write that a list was too early for, and drops it when a later one does not hold it', () => {
    const { informer, list, versions } = anInformer();
    list(5);
    informer.observe(aStored('a', 8));
    list(7);
    expect(versions()).toEqual(['a@8']);
    list(9);
    expect(versions()).toEqual([]);
  });

  it('believes a list that is older than what it knew: the data was restored', () => {
    const { sink, list, versions } = anInformer();
    list(50, aStored('a', 40));
    sink.reached('60');
    list(20, aStored('a', 10));
    expect(versions()).toEqual(['a@10']);
  });

  it('ends up with what the server has, however writes, events and lists interleave', () => {
    const step = fc.record({
      what: fc.constantFrom('put', 'delete', 'observe', 'tell', 'list'),
      name: fc.constantFrom('a', 'b', 'c'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), steps => {
        const { informer, sink, list, versions } = anInformer();
        const server = new Map<string, ReturnType<typeof aStored>>();
        const log: { type: 'MODIFIED' | 'DELETED'; object: ReturnType<typeof aStored> }[] = [];
        let version = 0;
        let toldUpTo = 0;
        const tell = () => {
          const event = log[toldUpTo];
          if (event === undefined) return;
          toldUpTo += 1;
          sink.told(event.type, event.object);
        };
        list(0);
        for (const { what, name } of steps) {
          if (what === 'put' || what === 'observe') {
            version += 1;
            const object = aStored(name, version, {
              metadata: { uid: server.get(name)?.metadata.uid ?? `u${version}` },
            });
            server.set(name, object);
            log.push({ type: 'MODIFIED', object });
            if (what === 'observe') {
              informer.observe(object);
              expect(informer.get({ namespace: 'default', name })?.metadata.resourceVersion).toBe(String(version));
            }
          } else if (what === 'delete' && server.has(name)) {
            version += 1;
            const { metadata } = server.get(name) as ReturnType<typeof aStored>;
            log.push({ type: 'DELETED', object: aStored(name, version, { metadata: { uid: metadata.uid } }) });
            server.delete(name);
          } else if (what === 'tell') tell();
          else if (what === 'list') {
            list(version, ...server.values());
            toldUpTo = log.length;
          }
        }
        while (toldUpTo < log.length) tell();
        const expected = [...server.values()].map(({ metadata }) => `${metadata.name}@${metadata.resourceVersion}`);
        expect(versions().toSorted()).toEqual(expected.toSorted());
      }),
    );
  });
});
