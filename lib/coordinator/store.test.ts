import fc from 'fast-check';
import type { Transaction } from './coordinator.ts';
import { createStore, type Store, type StoreChange } from './store.ts';

let store: Store;
beforeEach(() => {
  store = createStore();
});

function put(key: string, value: string, lease?: string): Transaction {
  return { compare: [], operations: [{ put: key, value, ...(lease === undefined ? {} : { lease }) }] };
}

describe('revisions', () => {
  it('begin at 1 and count transactions that change something', () => {
    expect(store.revision).toBe(1);
    expect(store.commit(put('a', '1'))).toEqual({ kind: 'committed', revision: 2 });
    expect(store.commit({ compare: [], operations: [{ delete: 'absent' }] })).toEqual({
      kind: 'committed',
      revision: 2,
    });
    expect(store.commit({ compare: [], operations: [] })).toEqual({ kind: 'committed', revision: 2 });
  });

  it('of creation stay while the key lives and are new when it comes back', () => {
    store.commit(put('a', '1'));
    store.commit(put('a', '2'));
    expect(store.get('a')).toEqual({ key: 'a', value: '2', createRevision: 2, modRevision: 3 });
    store.commit({ compare: [], operations: [{ delete: 'a' }] });
    store.commit(put('a', '3'));
    expect(store.get('a')).toEqual({ key: 'a', value: '3', createRevision: 5, modRevision: 5 });
  });

  it('are one for everything a transaction writes', () => {
    store.commit({
      compare: [],
      operations: [
        { put: 'b', value: '' },
        { put: 'a', value: '' },
      ],
    });
    expect(store.range('').map(entry => [entry.key, entry.modRevision])).toEqual([
      ['a', 2],
      ['b', 2],
    ]);
  });
});

describe('transactions', () => {
  it('apply nothing unless every comparison holds', () => {
    store.commit(put('a', '1'));
    const operations = [{ put: 'b', value: '' }];
    for (const compare of [
      [{ key: 'a', is: 'absent' as const }],
      [
        { key: 'a', modRevision: 2 },
        { key: 'a', createRevision: 9 },
      ],
      [{ key: 'b', modRevision: 2 }],
    ])
      expect(store.commit({ compare, operations })).toEqual({ kind: 'conflict' });
    expect(store.get('b')).toBeUndefined();
    const compare = [
      { key: 'a', modRevision: 2 },
      { key: 'a', createRevision: 2 },
      { key: 'b', is: 'absent' as const },
    ];
    expect(store.commit({ compare, operations })).toEqual({ kind: 'committed', revision: 3 });
  });

  it('that write a key twice are refused', () => {
    const operations = [{ put: 'a', value: '' }, { delete: 'a' }];
    expect(() => store.commit({ compare: [], operations })).toThrow(RangeError);
  });

  it('bound to a lease that ended are a conflict', () => {
    const { lease } = store.grantLease(2_000, 0);
    store.revokeLease(lease);
    expect(store.commit(put('a', '', lease))).toEqual({ kind: 'conflict' });
  });
});

describe('leases', () => {
  it('are granted in whole seconds, not below the minimum', () => {
    expect(store.grantLease(1_200, 0).ttlMs).toBe(2_000);
    expect(createStore({ minTtlMs: 2_000 }).grantLease(1_000, 0).ttlMs).toBe(2_000);
  });

  it('take their keys with them when their time has passed, and cannot be renewed from then on', () => {
    const { lease } = store.grantLease(2_000, 0);
    store.commit(put('a', '', lease));
    store.commit(put('b', '', lease));
    expect(store.renewLease(lease, 1_999)).toBe(true);
    expect(store.nextExpiry()).toBe(3_999);
    store.expire(3_998);
    expect(store.range('')).toHaveLength(2);
    expect(store.renewLease(lease, 3_999)).toBe(false);
    expect(store.range('')).toHaveLength(2);
    store.expire(3_999);
    expect(store.range('')).toHaveLength(0);
    expect(store.revision).toBe(4);
    expect(store.nextExpiry()).toBeUndefined();
  });

  it('leave a key that was written again without them', () => {
    const { lease } = store.grantLease(2_000, 0);
    store.commit(put('a', '', lease));
    store.commit(put('a', ''));
    expect(store.revokeLease(lease)).toBe(true);
    expect(store.get('a')?.lease).toBeUndefined();
    expect(store.revokeLease(lease)).toBe(false);
  });

  it('have their whole time again under a new leader', () => {
    store.grantLease(2_000, 0);
    store.extendLeases(1_500);
    expect(store.nextExpiry()).toBe(3_500);
  });
});

describe('a restored copy', () => {
  it('takes back what came after it, keys, leases and revision, and gives no lease id out again', () => {
    const early = store.grantLease(2_000, 0).lease;
    store.commit(put('a', 'old', early));
    const copy = store.snapshot();
    const late = store.grantLease(2_000, 0).lease;
    store.commit(put('a', 'new'));
    store.commit(put('b', '', late));
    const changes: StoreChange[] = [];
    store.onChange(change => changes.push(change));
    store.restore(copy, 10_000);
    expect(store.revision).toBe(2);
    expect(store.range('')).toEqual([{ key: 'a', value: 'old', createRevision: 2, modRevision: 2, lease: early }]);
    expect(changes).toEqual([{ revision: 2, keys: ['a', 'b'] }]);
    expect(store.renewLease(late, 10_000)).toBe(false);
    expect(store.nextExpiry()).toBe(12_000);
    expect(store.grantLease(2_000, 10_000).lease).not.toBe(late);
    store.commit(put('c', ''));
    expect(copy.entries.has('c')).toBe(false);
  });
});

describe('listeners', () => {
  it('hear of each change once it is complete, and no more after they left', () => {
    const heard: (StoreChange & { seen: number })[] = [];
    const leave = store.onChange(change => heard.push({ ...change, seen: store.range('').length }));
    const { lease } = store.grantLease(1_000, 0);
    store.commit({ compare: [], operations: [{ put: 'a', value: '', lease }, { delete: 'none' }] });
    store.expire(1_000);
    leave();
    store.commit(put('b', ''));
    expect(heard).toEqual([
      { revision: 2, keys: ['a'], seen: 1 },
      { revision: 3, keys: ['a'], seen: 0 },
    ]);
  });
});

describe('any sequence of writers', () => {
  it('that compare before they add loses no addition', () => {
    const steps = fc.array(fc.record({ writer: fc.nat(2), reads: fc.boolean() }), { maxLength: 60 });
    fc.assert(
      fc.property(steps, all => {
        const shared = createStore();
        const seen = new Map<number, { value: number; modRevision: number }>();
        let added = 0;
        for (const { writer, reads } of all) {
          const known = seen.get(writer);
          if (reads || known === undefined) {
            const entry = shared.get('n');
            seen.set(writer, { value: Number(entry?.value ?? 0), modRevision: entry?.modRevision ?? 0 });
            continue;
          }
          const outcome = shared.commit({
            compare: [{ key: 'n', modRevision: known.modRevision }],
            operations: [{ put: 'n', value: String(known.value + 1) }],
          });
          if (outcome.kind === 'committed') added += 1;
        }
        expect(Number(shared.get('n')?.value ?? 0)).toBe(added);
        expect(shared.revision).toBe(1 + added);
      }),
    );
  });
});
