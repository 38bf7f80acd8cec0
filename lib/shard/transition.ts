import { MantaError } from '../errors/manta-error.ts';
import { type ClusterState, chainOf, clusterStateSchema } from './state.ts';

const FORCED: ReadonlySet<string> = new Set(['force-takeover', 'state-repair']);

/** Parses and checks the value of the key `state`. Throws MantaError `StateInvalid`, naming the rule that is broken. */
export function parseState(text: string): ClusterState {
  let parsed: ClusterState;
  try {
    parsed = clusterStateSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new MantaError('StateInvalid', 'the cluster state cannot be read', { cause });
  }
  const broken = brokenRule(parsed);
  if (broken !== undefined) throw new MantaError('StateInvalid', `the cluster state breaks ${broken}`);
  return parsed;
}

/** V1 to V3 of replication.md §5.1, which concern one state. Returns the rule that is broken. */
export function brokenRule(state: ClusterState): string | undefined {
  const ids = [...chainOf(state), ...state.deposed].map(peer => peer.id);
  if (new Set(ids).size !== ids.length) return 'V1: an id is there twice';
  if ((state.sync === null) !== (state.oneNode !== undefined)) return 'V2: sync is null exactly when oneNode is set';
  if (state.generation < 1 || state.seq < state.generation) return 'V3: seq ≥ generation ≥ 1';
  if (state.systemId !== null && !(state.timeline >= state.initTimeline && state.initTimeline >= 1)) {
    return 'V3: timeline ≥ initTimeline ≥ 1';
  }
  return undefined;
}

/**
 * V1 to V6 of replication.md §5.1 for a step from `before` to `after`, and what may not change within a generation.
 * Returns the rule that is broken. The causes `force-takeover` and `state-repair` need only rise.
 */
export function brokenTransition(before: ClusterState | undefined, after: ClusterState): string | undefined {
  const alone = brokenRule(after);
  if (alone !== undefined || before === undefined) return alone;
  if (FORCED.has(after.cause)) {
    const rises = after.seq > before.seq && after.generation > before.generation && after.timeline > before.timeline;
    return rises ? undefined : 'V4: a forced state raises seq, generation and timeline';
  }
  if (after.seq !== before.seq + 1) return 'V4: seq grows by one';
  if (after.generation !== before.generation && after.generation !== before.generation + 1) {
    return 'V4: generation stays or grows by one';
  }
  if (before.systemId !== null && after.systemId !== before.systemId) return 'systemId is set once';
  return after.generation === before.generation ? brokenWithin(before, after) : brokenBetween(before, after);
}

function brokenWithin(before: ClusterState, after: ClusterState): string | undefined {
  if (before.primary.id !== after.primary.id || before.sync?.id !== after.sync?.id) {
    return 'V5: a new pair is a new generation';
  }
  // A database that was restored brings its timeline along.
  if (before.systemId === null) return undefined;
  const isFixed =
    before.initWal === after.initWal &&
    before.initTimeline === after.initTimeline &&
    before.timeline === after.timeline;
  return isFixed ? undefined : 'initWal, initTimeline and timeline are fixed within a generation';
}

function brokenBetween(before: ClusterState, after: ClusterState): string | undefined {
  const isNewPrimary = before.primary.id !== after.primary.id;
  if (!isNewPrimary && before.sync?.id === after.sync?.id) return 'V5: a new generation has a new pair';
  if (isNewPrimary && after.primary.id !== before.sync?.id) return 'V5: the new primary is the old one or the old sync';
  // Until there is a database, a new primary makes a first timeline of its own.
  if (
    after.systemId !== null &&
    before.systemId !== null &&
    after.timeline !== before.timeline + (isNewPrimary ? 1 : 0)
  ) {
    return 'V6: timeline grows by one exactly when the primary changes';
  }
  return undefined;
}
