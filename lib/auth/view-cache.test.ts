import fc from 'fast-check';
import { newUuid } from '../metadata/path.ts';
import type { Uuid } from '../metadata/types.ts';
import { anAccount } from './testing.ts';
import type { AccountView } from './types.ts';
import { ViewCache } from './view-cache.ts';

const uuids = Array.from({ length: 5 }, newUuid);
const confirmed = { atMs: 0, epoch: 0 };

type Step =
  | { readonly kind: 'keep'; readonly uuid: Uuid; readonly login: string; readonly rev: number }
  | { readonly kind: 'drop' | 'use'; readonly uuid: Uuid };

const uuid = fc.constantFrom(...uuids);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('keep' as const),
    uuid,
    login: fc.constantFrom('ann', 'bob', 'cid', 'dan'),
    rev: fc.nat(3),
  }),
  fc.record({ kind: fc.constantFrom('drop' as const, 'use' as const), uuid }),
);

interface Modelled {
  readonly view: AccountView;
  readonly rev: number;
}

/** The rules written down naively: a list in order of use. */
function play(list: readonly Modelled[], done: Step, view: AccountView, maxViews: number): readonly Modelled[] {
  const before = list.find(item => item.view.uuid === done.uuid);
  const others = list.filter(item => item !== before);
  switch (done.kind) {
    case 'drop':
      return others;
    case 'use':
      return before === undefined ? list : [...others, before];
    case 'keep':
      return before !== undefined && before.rev > done.rev
        ? list
        : [...others, { view, rev: done.rev }].slice(-maxViews);
  }
}

describe('ViewCache', () => {
  it('does what a list in order of use would do', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (steps, maxViews) => {
        const cache = new ViewCache({ maxViews });
        let list: readonly Modelled[] = [];
        for (const done of steps) {
          const view = anAccount({ uuid: done.uuid, login: done.kind === 'keep' ? done.login : 'unused' });
          list = play(list, done, view, maxViews);
          const entry = cache.byUuid(done.uuid);
          if (done.kind === 'keep') cache.keep({ view, rev: BigInt(done.rev) }, confirmed, 0);
          else if (done.kind === 'drop') cache.drop(done.uuid);
          else if (entry !== undefined) cache.use(entry, 0);

          expect(cache.size).toBe(list.length);
          for (const id of uuids) {
            expect(cache.byUuid(id)?.view).toBe(list.find(item => item.view.uuid === id)?.view);
          }
        }
      }),
    );
  });

  it('finds under a login only an account that has it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const cache = new ViewCache({ maxViews: 3 });
        for (const done of steps) {
          if (done.kind === 'keep') {
            const view = anAccount({ uuid: done.uuid, login: done.login });
            cache.keep({ view, rev: BigInt(done.rev) }, confirmed, 0);
            const kept = cache.byUuid(done.uuid)?.view === view;
            if (kept) expect(cache.byLogin(done.login)?.view).toBe(view);
          } else {
            cache.drop(done.uuid);
          }
          for (const login of ['ann', 'bob', 'cid', 'dan']) {
            const found = cache.byLogin(login);
            if (found !== undefined) {
              expect(found.view.login).toBe(login);
              expect(cache.byUuid(found.view.uuid)).toBe(found);
            }
          }
        }
      }),
    );
  });

  it('tells the age of the oldest view that was used lately', () => {
    const cache = new ViewCache({ maxViews: 3 });
    expect(cache.oldestInUseMs(1_000, 100)).toBe(0);
    cache.keep({ view: anAccount(), rev: 1n }, { atMs: 100, epoch: 0 }, 100);
    cache.keep({ view: anAccount(), rev: 1n }, { atMs: 500, epoch: 0 }, 950);
    expect(cache.oldestInUseMs(1_000, 100)).toBe(500);
    expect(cache.oldestInUseMs(1_000, 900)).toBe(900);
  });
});
