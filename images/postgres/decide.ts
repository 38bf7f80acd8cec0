import type { Action, Decision } from './action.ts';
import { isBusy } from './facts.ts';
import { abdicate } from './rules/abdicate.ts';
import { answerRequest } from './rules/answer-request.ts';
import { bootstrap } from './rules/bootstrap.ts';
import { closeGate } from './rules/close-gate.ts';
import { finishAbdication } from './rules/finish-abdication.ts';
import { finishHandover } from './rules/finish-handover.ts';
import { finishPromotion } from './rules/finish-promotion.ts';
import { finishReplacement } from './rules/finish-replacement.ts';
import { follow } from './rules/follow.ts';
import { handOver } from './rules/hand-over.ts';
import { hold } from './rules/hold.ts';
import { keepChain } from './rules/keep-chain.ts';
import { keepHouse } from './rules/keep-house.ts';
import { leave } from './rules/leave.ts';
import { open } from './rules/open.ts';
import { rejoin } from './rules/rejoin.ts';
import { repair } from './rules/repair.ts';
import { replaceSync } from './rules/replace-sync.ts';
import { restoreReceiver } from './rules/restore-receiver.ts';
import { seed } from './rules/seed.ts';
import { settle } from './rules/settle.ts';
import { start } from './rules/start.ts';
import { stopSuperseded } from './rules/stop-superseded.ts';
import { takeOver } from './rules/take-over.ts';
import type { Snapshot } from './snapshot.ts';

/** One reason to act. Pure: the same snapshot gives the same action. */
export interface Rule {
  readonly name: string;
  /** One line of why. */
  readonly why: string;
  /** Whether it has a say while a job is starting, stopping or rebuilding the server. */
  readonly duringJobs?: boolean;
  decide(s: Snapshot): Action | undefined;
}

/** In order (replication.md §4.3): the first that applies decides. */
export const rules: readonly Rule[] = [
  closeGate,
  settle,
  repair,
  hold,
  stopSuperseded,
  finishPromotion,
  finishReplacement,
  finishHandover,
  finishAbdication,
  abdicate,
  bootstrap,
  takeOver,
  restoreReceiver,
  replaceSync,
  handOver,
  leave,
  rejoin,
  seed,
  start,
  open,
  follow,
  keepChain,
  answerRequest,
  keepHouse,
];

/** What to do now: at most one thing. Undefined: nothing. */
export function decide(s: Snapshot, ordered: readonly Rule[] = rules): Decision | undefined {
  const busy = isBusy(s);
  let remark: Decision | undefined;
  for (const rule of ordered) {
    if (busy && rule.duringJobs !== true) continue;
    const action = rule.decide(s);
    if (action === undefined) continue;
    const decision = { rule: rule.name, action };
    if (action.kind !== 'wait' || action.yields !== true) return decision;
    remark ??= decision;
  }
  return remark;
}
