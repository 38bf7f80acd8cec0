import { childrenOf, isRootPlace, LIMITS, placeOf, placeOfDirectory, vnodeOf } from './path.ts';
import type { Place, Uuid } from './types.ts';

const owner = 'bc8cd146-fecb-11e1-bd8a-bb6f54b49808' as Uuid;

describe('vnodeOf', () => {
  it.each([
    ['yunong', 10953],
    ['/a3829ca2-0966-60ce-9dc3-e4e9060f0950/stor', 100363],
    ['/a3829ca2-0966-60ce-9dc3-e4e9060f0950/stor/mydir', 43106],
    [`/${owner}/stor`, 96156],
    [`/${owner}/public`, 95459],
    [`/${owner}`, 27304],
    [`/${owner}/stor/a\u00f1o`, 2064],
    [`/${owner}/stor/an\u0303o`, 44439],
    ['object:00000000-0000-4000-8000-000000000001', 69118],
  ])('hashes %s as the published vectors say', (key, vnode) => {
    expect(vnodeOf(key)).toBe(vnode);
  });
});

describe('placeOf', () => {
  it('splits a path into its directory and its name', () => {
    const place = placeOf(owner, ['stor', 'a b', 'ü']);
    expect(place).toEqual({ dir: `/${owner}/stor/a b`, name: 'ü' });
  });

  it('inverts childrenOf', () => {
    const place = placeOf(owner, ['stor', 'a']);
    expect(place && placeOfDirectory(childrenOf(place))).toEqual(place);
  });

  it('knows the roots', () => {
    expect(isRootPlace(placeOf(owner, ['stor']) as Place)).toBe(true);
    expect(isRootPlace(placeOf(owner, ['stor', 'x']) as Place)).toBe(false);
  });

  it.each([
    ['no name at all', []],
    ['an empty name', ['stor', '']],
    ['a dot', ['stor', '.']],
    ['two dots', ['stor', '..', 'x']],
    ['NUL', ['stor', 'a\0b']],
    ['a slash', ['stor', 'a/b']],
    ['a name beyond 1,024 bytes of UTF-8', ['stor', 'é'.repeat(513)]],
    ['a path beyond 4,096 bytes', ['stor', ...Array.from({ length: 5 }, () => 'x'.repeat(1000))]],
    ['more than 512 levels', Array.from({ length: LIMITS.levels }, () => 'd')],
  ])('refuses %s', (_, segments) => {
    expect(placeOf(owner, segments)).toBeUndefined();
  });
});
