import { laterOf, parseLsn } from '../../../lib/shard/lsn.ts';
import type { ClusterState } from '../../../lib/shard/state.ts';
import type { Rule } from '../decide.ts';
import { answeredAsPrimary, asPrimary, isTerminating, primarySettings, sameNames, senderTo, ssnOf } from '../facts.ts';
import { hasLostData } from '../health.ts';
import type { Snapshot } from '../snapshot.ts';

/** §7.8, from step 4. */
export const open: Rule = {
  name: 'open',
  why: 'clients may come in once everything they could read is durable on the sync too',
  decide(s) {
    const state = asPrimary(s);
    const { written } = s.server;
    const isOpen = written?.gate === 'open' && !written.readOnly;
    if (state === undefined || isOpen || answeredAsPrimary(s) === undefined || state.systemId === null)
      return undefined;
    if (hasLostData(s) || isTerminating(s) || s.evidence.status !== 'active') return undefined;
    // Its first database is one that `keep-chain` has to record before anybody is let in.
    if (state.sync !== null && state.sync.incarnation === null) return undefined;
    const obstacle = obstacleOf(s, state);
    if (obstacle !== undefined) return { kind: 'wait', why: obstacle };
    return { kind: 'open', settings: primarySettings(s, { ssn: ssnOf(state), readOnly: false, gate: 'open' }) };
  },
};

function obstacleOf(s: Snapshot, state: ClusterState): string | undefined {
  const found = answeredAsPrimary(s);
  if (found === undefined) return 'its PostgreSQL does not answer';
  if (s.server.drift !== undefined) return `ConfigDrift: ${s.server.drift}`;
  if (found.timeline !== state.timeline) return `TimelineMismatch: on ${found.timeline}, not ${state.timeline}`;
  if (state.sync === null) return undefined;
  if (s.server.written === undefined || !sameNames(s.server.written.ssn, ssnOf(state)))
    return 'its settings are not the state’s';
  const sender = senderTo(found, state.sync.id);
  if (sender?.flushed === undefined || sender.priority !== 1) return `waiting for ${state.sync.id} to stream`;
  const needed = laterOf(found.flushed, parseLsn(state.initWal));
  const isReopening = s.server.written.gate === 'open';
  if (isReopening) return sender.flushed >= parseLsn(state.initWal) ? undefined : `${state.sync.id} is catching up`;
  return sender.flushed >= needed ? undefined : `waiting until ${state.sync.id} holds everything`;
}
