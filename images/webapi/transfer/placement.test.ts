import fc from 'fast-check';
import { type Candidate, type PlacementRequest, place } from './placement.ts';

const FREE = 1_000;

const aCandidate = (nodeNo: number, change: Partial<Candidate> = {}): Candidate => ({
  nodeNo,
  datacenter: 'a',
  failureDomain: `f${nodeNo}`,
  freeBytes: FREE,
  demoted: false,
  ...change,
});

const aRequest = (change: Partial<PlacementRequest> = {}): PlacementRequest => ({
  copies: 2,
  needBytes: 1,
  held: [],
  excluded: new Set(),
  multiDc: false,
  allowSharedFailureDomain: false,
  ...change,
});

/** Datacenters of unequal size, nodes of unequal size, some demoted, some excluded, some already holding a copy. */
const situations = fc
  .record({
    shapes: fc.array(
      fc.record({
        datacenter: fc.constantFrom('a', 'a', 'a', 'b', 'c'),
        failureDomain: fc.constantFrom('f1', 'f2', 'f3'),
        freeBytes: fc.constantFrom(0, 99, 100, FREE),
        demoted: fc.boolean(),
        role: fc.constantFrom('free', 'free', 'free', 'free', 'excluded', 'held'),
      }),
      { maxLength: 10 },
    ),
    copies: fc.integer({ min: 1, max: 4 }),
    multiDc: fc.boolean(),
    allowSharedFailureDomain: fc.boolean(),
    chance: fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { minLength: 1 }),
  })
  .map(({ shapes, chance, ...settings }) => {
    const nodes = shapes.map(({ role: _, ...shape }, index) => aCandidate(index + 1, shape));
    const withRole = (role: string) => nodes.filter((_, index) => shapes[index]?.role === role);
    // What an earlier attempt of the same request could have left: copies that keep the rules among themselves.
    const held: Candidate[] = [];
    for (const node of withRole('held')) {
      if (settings.allowSharedFailureDomain || !held.some(other => domainOf(other) === domainOf(node))) held.push(node);
    }
    const excluded = new Set(withRole('excluded').map(node => node.nodeNo));
    let draws = 0;
    const random = () => chance[draws++ % chance.length] ?? 0;
    return { nodes, request: aRequest({ ...settings, needBytes: 100, held, excluded }), random };
  });

const domainOf = (node: Candidate) => `${node.datacenter}/${node.failureDomain}`;
const count = <T>(items: readonly T[], isCounted: (item: T) => boolean) => items.filter(isCounted).length;

function eligibleOf(nodes: readonly Candidate[], { held, excluded, needBytes, ...request }: PlacementRequest) {
  return nodes.filter(
    node =>
      !excluded.has(node.nodeNo) &&
      !held.includes(node) &&
      node.freeBytes >= needBytes &&
      (request.allowSharedFailureDomain || !held.some(other => domainOf(other) === domainOf(node))),
  );
}

/** Whether any choice keeps the rules, found by counting instead of by choosing. */
function isPossible(nodes: readonly Candidate[], request: PlacementRequest): boolean {
  const eligible = eligibleOf(nodes, request);
  const slots = request.allowSharedFailureDomain ? eligible.length : new Set(eligible.map(domainOf)).size;
  if (slots < request.copies) return false;
  const datacenters = new Set([...eligible, ...request.held].map(node => node.datacenter));
  return !request.multiDc || request.held.length + request.copies < 2 || datacenters.size >= 2;
}

describe('place', () => {
  it('finds a set of nodes exactly when there is one', () => {
    fc.assert(
      fc.property(situations, ({ nodes, request, random }) => {
        expect(place(nodes, request, random).kind).toBe(isPossible(nodes, request) ? 'placed' : 'not_enough_space');
      }),
    );
  });

  it('chooses distinct eligible nodes, in distinct failure domains and enough datacenters', () => {
    fc.assert(
      fc.property(situations, ({ nodes, request, random }) => {
        const placement = place(nodes, request, random);
        if (placement.kind !== 'placed') return;
        const eligible = eligibleOf(nodes, request);
        const all = [...request.held, ...placement.nodes];
        expect(placement.nodes).toHaveLength(request.copies);
        expect(placement.nodes.every(node => eligible.includes(node))).toBe(true);
        expect(new Set(all).size).toBe(all.length);
        if (!request.allowSharedFailureDomain) expect(new Set(all.map(domainOf)).size).toBe(all.length);
        if (request.multiDc && all.length > 1)
          expect(new Set(all.map(node => node.datacenter)).size).toBeGreaterThan(1);
      }),
    );
  });

  it('puts a second copy into a datacenter only when the others have as many or no room', () => {
    fc.assert(
      fc.property(situations, ({ nodes, request, random }) => {
        const placement = place(
          nodes.map(node => ({ ...node, demoted: false })),
          { ...request, held: [] },
          random,
        );
        if (placement.kind !== 'placed') return;
        const copiesIn = (datacenter: string) => count(placement.nodes, node => node.datacenter === datacenter);
        const open = eligibleOf(nodes, { ...request, held: [] }).filter(
          node =>
            !placement.nodes.some(
              other =>
                other.nodeNo === node.nodeNo ||
                (!request.allowSharedFailureDomain && domainOf(other) === domainOf(node)),
            ),
        );
        const fullest = Math.max(...placement.nodes.map(node => copiesIn(node.datacenter)));
        for (const { datacenter } of open) expect(copiesIn(datacenter)).toBeGreaterThanOrEqual(fullest - 1);
      }),
    );
  });

  it('uses a demoted node only where the others do not suffice', () => {
    fc.assert(
      fc.property(situations, ({ nodes, request, random }) => {
        const placement = place(nodes, request, random);
        const healthy = nodes.filter(node => !node.demoted);
        if (placement.kind !== 'placed' || !isPossible(healthy, request)) return;
        expect(count(placement.nodes, node => node.demoted)).toBe(0);
      }),
    );
  });

  it('takes every healthy node before it falls back on demoted ones', () => {
    const nodes = [1, 2, 3, 4].map(nodeNo => aCandidate(nodeNo, { demoted: nodeNo > 1 }));
    for (let draw = 0; draw < 1; draw += 0.05) {
      const placement = place(nodes, aRequest(), () => draw);
      expect(placement).toMatchObject({ nodes: expect.arrayContaining([nodes[0]]) });
    }
  });

  it('prefers nodes in proportion to the space that would be left, whatever their failure domains', () => {
    const nodes = [aCandidate(1, { freeBytes: 400 }), aCandidate(2, { freeBytes: 200 })];
    let onFirst = 0;
    for (let draw = 0; draw < 1_000; draw += 1) {
      const placement = place(nodes, aRequest({ copies: 1, needBytes: 101 }), () => draw / 1_000);
      if (placement.kind === 'placed' && placement.nodes[0]?.nodeNo === 1) onFirst += 1;
    }
    expect(onFirst).toBe(750);
  });

  it('tells the log what was missing', () => {
    expect(place([aCandidate(1)], aRequest(), () => 0)).toEqual({
      kind: 'not_enough_space',
      why: '1 of 2 copies could be placed',
    });
    expect(place([aCandidate(1), aCandidate(2)], aRequest({ multiDc: true }), () => 0)).toEqual({
      kind: 'not_enough_space',
      why: 'only one datacenter has space',
    });
  });
});
