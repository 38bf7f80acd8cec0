import { laterOf, parseLsn } from '../../../lib/shard/lsn.ts';
import type { ClusterState } from '../../../lib/shard/state.ts';
import type { Rule } from '../decide.ts';
import {
  answeredAsPrimary,
  asPrimary,
  isOffering,
  isTerminating,
  primarySettings,
  sameNames,
  sameSettings,
  senderTo,
  ssnOf,
} from '../facts.ts';
import { hasLostData } from '../health.ts';
import type { Snapshot } from '../snapshot.ts';

/** A commit that waits longer than this means that the sync is there and still does not confirm (J5). */
const HELD_UP_MS = 1_000;

/** §7.8, from step 4. */
export const open: Rule = {
  name: 'open',
  why: 'clients may come in once everything they could read is durable on the sync too',
  decide(s) {
    const state = asPrimary(s);
    const found = answeredAsPrimary(s);
    if (state === undefined || found === undefined || state.systemId === null) return undefined;
    if (hasLostData(s) || isTerminating(s) || isOffering(s)) return undefined;
    // It takes the timeline reserved for it by a promotion, which begins with a start as a standby (§13).
    if (found.timeline < state.timeline)
      return { kind: 'stop', mode: 'fast', why: `TimelineMismatch: on ${found.timeline}` };
    const settings = primarySettings(s, { ssn: ssnOf(state), readOnly: false, gate: 'open' });
    const { written } = s.server;
    // An attempt that failed may have failed after the settings were written.
    if (written !== undefined && sameSettings(written, settings) && s.failures.open === undefined) return undefined;
    const obstacle = obstacleOf(s, state);
    if (obstacle === undefined) return { kind: 'open', settings };
    // A sync that streams holds everything in a moment, and only a look at its sender shows it.
    const isBrief = s.server.written?.gate !== 'open' && streams(s, state);
    return { kind: 'wait', why: obstacle, yields: true, isBrief };
  },
};

function streams(s: Snapshot, state: ClusterState): boolean {
  const found = answeredAsPrimary(s);
  return found !== undefined && state.sync !== null && senderTo(found, state.sync.id) !== undefined;
}

function obstacleOf(s: Snapshot, state: ClusterState): string | undefined {
  const found = answeredAsPrimary(s);
  if (found === undefined) return 'its PostgreSQL does not answer';
  if (s.server.drift !== undefined) return `ConfigDrift: ${s.server.drift}`;
  if (found.timeline !== state.timeline) return `TimelineMismatch: on ${found.timeline}, not ${state.timeline}`;
  if (state.sync === null) return undefined;
  // `keep-chain` has to record it before anybody is let in.
  if (state.sync.incarnation === null) return `${state.sync.id} has no database yet`;
  if (s.server.written === undefined || !sameNames(s.server.written.ssn, ssnOf(state)))
    return 'its settings are not the state’s';
  const sender = senderTo(found, state.sync.id);
  if (sender?.flushed === undefined || sender.priority !== 1) return `waiting for ${state.sync.id} to stream`;
  const isReopening = s.server.written.gate === 'open';
  const needed = isReopening ? parseLsn(state.initWal) : laterOf(found.flushed, parseLsn(state.initWal));
  if (sender.flushed < needed) return `waiting until ${state.sync.id} holds everything`;
  // What it answered while it started would make it be replaced the moment that the gate opens.
  const verdict = s.evidence.sync;
  const isNew = verdict?.kind === 'unfit' && s.now - verdict.since < s.times.syncStallMs;
  if (!isReopening && isNew) return `waiting until ${state.sync.id} is well`;
  const isHeldUp = found.commitWaitingSince !== undefined && s.now - found.commitWaitingSince >= HELD_UP_MS;
  return isReopening && isHeldUp ? `${state.sync.id} does not confirm` : undefined;
}
