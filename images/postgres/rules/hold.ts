import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import { isTerminating } from '../facts.ts';
import { hasForeignData } from '../health.ts';
import type { Snapshot } from '../snapshot.ts';

/** §7.2. A server that runs goes on. */
export const hold: Rule = {
  name: 'hold',
  why: 'what was read contradicts what this volume knows: nothing is started, deleted or declared',
  decide(s) {
    const reason = reasonToHold(s);
    if (reason === undefined) return undefined;
    return isTerminating(s) ? endUnder(s) : { kind: 'wait', why: reason };
  },
};

function endUnder(s: Snapshot): Action {
  if (s.server.process.kind === 'none') return { kind: 'exit' };
  return { kind: 'stop', mode: 'fast', why: 'asked to end' };
}

/** The name of the condition and a sentence; undefined when there is none. */
export function reasonToHold(s: Snapshot): string | undefined {
  const { etcd, server, local } = s;
  if (etcd.readAt === undefined) return 'etcd has not been read yet';
  if (etcd.stateInvalid !== undefined) return `StateInvalid: ${etcd.stateInvalid}`;
  const state = etcd.state?.value;
  const hasData = server.directory.kind === 'usable';
  if (state === undefined) {
    return hasData ? 'StateMissing: etcd has no state of this shard, and this volume holds a database' : undefined;
  }
  if (state.generation < local.highWater.maxGeneration || state.seq < local.highWater.maxSeq) {
    const { maxGeneration, maxSeq } = local.highWater;
    return `StateRegressed: this volume has seen generation ${maxGeneration}, seq ${maxSeq}; etcd says ${state.generation}, ${state.seq}`;
  }
  if (hasForeignData(s)) return 'ForeignData: the database on this volume is not this shard’s';
  if (state.pgMajor !== null && state.pgMajor !== s.me.pgMajor) {
    return `WrongMajor: the shard runs PostgreSQL ${state.pgMajor}, this peer has ${s.me.pgMajor}`;
  }
  return undefined;
}
