/** A storage node as the picker weighs it. */
export interface Candidate {
  readonly nodeNo: number;
  readonly datacenter: string;
  readonly failureDomain: string;
  /** Bytes free, less what this process has placed there since the node last reported. */
  readonly freeBytes: number;
  /** It failed a moment ago: used only when nothing else is eligible. */
  readonly demoted: boolean;
}

export interface PlacementRequest {
  /** Copies still to be placed. */
  readonly copies: number;
  readonly needBytes: number;
  /** Nodes that already hold a copy of this object. */
  readonly held: readonly Candidate[];
  /** nodeNos that failed in this request. */
  readonly excluded: ReadonlySet<number>;
  /** Copies of one object must span at least two datacenters. */
  readonly multiDc: boolean;
  /** Two copies may lie in one failure domain. */
  readonly allowSharedFailureDomain: boolean;
}

export type Placement =
  | { readonly kind: 'placed'; readonly nodes: readonly Candidate[] }
  /** `why` is for the log; clients only learn that there is not enough space. */
  | { readonly kind: 'not_enough_space'; readonly why: string };

/**
 * Chooses nodes for the copies of one object (metadata.md §14.4): copies spread over datacenters round robin, in a
 * datacenter over failure domains, there by weighted chance in favour of free space. Pure: `random` returns [0, 1).
 */
export function place(candidates: readonly Candidate[], request: PlacementRequest, random: () => number): Placement {
  const healthy = candidates.filter(node => !node.demoted);
  const first = placeAmong(healthy, request, random);
  return first.kind === 'placed' || healthy.length === candidates.length
    ? first
    : placeAmong(candidates, request, random);
}

function placeAmong(candidates: readonly Candidate[], request: PlacementRequest, random: () => number): Placement {
  const { held, excluded, needBytes, multiDc } = request;
  const total = held.length + request.copies;
  const taken = [...held];
  const eligible = candidates.filter(node => !excluded.has(node.nodeNo) && node.freeBytes >= needBytes);
  while (taken.length < total) {
    const node = pick(
      eligible.filter(candidate => isFit(candidate, taken, request)),
      taken,
      needBytes,
      random,
    );
    if (node === undefined) {
      return { kind: 'not_enough_space', why: `${taken.length} of ${total} copies could be placed` };
    }
    taken.push(node);
  }
  if (multiDc && total > 1 && distinct(taken.map(node => node.datacenter)).length < 2) {
    return { kind: 'not_enough_space', why: 'only one datacenter has space' };
  }
  return { kind: 'placed', nodes: taken.slice(held.length) };
}

function isFit(node: Candidate, taken: readonly Candidate[], request: PlacementRequest): boolean {
  return !taken.some(
    other => other.nodeNo === node.nodeNo || (!request.allowSharedFailureDomain && sharesFailureDomain(node, other)),
  );
}

function pick(
  fit: readonly Candidate[],
  taken: readonly Candidate[],
  needBytes: number,
  random: () => number,
): Candidate | undefined {
  const datacenter = leastUsed(
    distinct(fit.map(node => node.datacenter)),
    taken.map(node => node.datacenter),
    random,
  );
  const inside = fit.filter(node => node.datacenter === datacenter);
  const healthy = prefer(inside, node => !node.demoted);
  const apart = prefer(healthy, node => !taken.some(other => sharesFailureDomain(node, other)));
  return weighted(apart, needBytes, random);
}

/** Failure domains are named within their datacenter. */
function sharesFailureDomain(a: Candidate, b: Candidate): boolean {
  return a.datacenter === b.datacenter && a.failureDomain === b.failureDomain;
}

/** Those that are better, or all when none is. */
function prefer(nodes: readonly Candidate[], isBetter: (node: Candidate) => boolean): readonly Candidate[] {
  const better = nodes.filter(isBetter);
  return better.length > 0 ? better : nodes;
}

/** Of the names used least so far, any. */
function leastUsed(names: readonly string[], used: readonly string[], random: () => number): string | undefined {
  const uses = (name: string) => used.filter(other => other === name).length;
  const least = Math.min(...names.map(uses));
  const best = names.filter(name => uses(name) === least);
  return best[Math.floor(random() * best.length)];
}

function weighted(nodes: readonly Candidate[], needBytes: number, random: () => number): Candidate | undefined {
  const weights = nodes.map(node => node.freeBytes - needBytes + 1);
  let rest = random() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [index, weight] of weights.entries()) {
    rest -= weight;
    if (rest < 0) return nodes[index];
  }
  return nodes.at(-1);
}

function distinct(names: readonly string[]): string[] {
  return [...new Set(names)];
}
