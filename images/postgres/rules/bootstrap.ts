import { ordinalOf } from '../../../lib/shard/records.ts';
import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import {
  answeredAsPrimary,
  asPrimary,
  asSync,
  isFrozen,
  isTerminating,
  isTooSoon,
  primarySettings,
  ssnOf,
} from '../facts.ts';
import type { PeerView, Snapshot } from '../snapshot.ts';

/** §7.3. initdb runs nowhere else. */
export const bootstrap: Rule = {
  name: 'bootstrap',
  why: 'the shard has no database yet',
  decide(s) {
    if (s.etcd.registered === undefined || isTerminating(s)) return undefined;
    const state = s.etcd.state?.value;
    if (state === undefined) return declareFirst(s);
    if (state.systemId !== null) return undefined;
    if (asPrimary(s) !== undefined) return makeDatabase(s);
    if (asSync(s) !== undefined && isFounderLost(s) && !isFrozen(s)) return { kind: 'inherit-bootstrap' };
    return { kind: 'wait', why: `${state.primary.id} is making the database` };
  },
};

/** B1: the first to have registered, once all are there and none has data. */
function declareFirst(s: Snapshot): Action {
  const { config, peers } = s.etcd;
  if (s.etcd.bootstrap === undefined || config === undefined) {
    return { kind: 'wait', why: 'the shard has no state, and no leave to begin one (bootstrap)' };
  }
  const present = Object.values(peers).filter(peer => ordinalOf(peer.value.id) < config.value.peers);
  if (present.length < config.value.peers) {
    return { kind: 'wait', why: `${present.length} of ${config.value.peers} peers are there` };
  }
  if (s.local.systemId !== null) return { kind: 'wait', why: 'StateMissing: this volume has held a database' };
  const withData = present.find(peer => peer.value.systemId !== null);
  if (withData !== undefined) return { kind: 'wait', why: `${withData.value.id} already holds a database` };
  const first = present.reduce(earlier);
  if (first.value.id !== s.me.id) return { kind: 'wait', why: `${first.value.id} begins the shard` };
  return { kind: 'bootstrap' };
}

function earlier(a: PeerView, b: PeerView): PeerView {
  return a.createRevision < b.createRevision ? a : b;
}

/** B2. */
function makeDatabase(s: Snapshot): Action | undefined {
  const state = asPrimary(s);
  if (state === undefined) return undefined;
  if (s.server.directory.kind !== 'usable') {
    if (isTooSoon(s, 'initialise', [5_000]) || isTooSoon(s, 'restore', [5_000])) {
      const failure = s.failures.restore ?? s.failures.initialise;
      return { kind: 'wait', why: `making the database failed, and is tried again soon: ${failure?.message}` };
    }
    return { kind: state.restore === undefined ? 'initialise' : 'restore' };
  }
  if (s.server.process.kind === 'none') {
    if (isTooSoon(s, 'start', [5_000])) return { kind: 'wait', why: 'its PostgreSQL did not start' };
    return { kind: 'start', settings: primarySettings(s, { ssn: ssnOf(state), readOnly: true, gate: 'closed' }) };
  }
  return answeredAsPrimary(s) === undefined ? undefined : { kind: 'record-system' };
}

function isFounderLost(s: Snapshot): boolean {
  const verdict = s.evidence.primary;
  return verdict !== undefined && verdict.kind !== 'alive' && verdict.isConfirmed;
}
