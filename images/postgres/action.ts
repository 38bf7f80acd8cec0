import type { Answer, PeerStatus } from '../../lib/shard/records.ts';
import type { ClusterState } from '../../lib/shard/state.ts';
import type { Endpoint, Settings, StopMode } from './server.ts';

/**
 * What a rule may ask for: one thing, executed by `actions/`, after which everything is looked at anew. The first group
 * ends within `times.actionMs`; the second starts the one long-running job.
 */
export type Action =
  /**
   * Keeps later rules from acting. The sentence is what `status` shows. With `yields` it only has something to say, and
   * whatever a later rule wants to do comes first. With `isBrief` it is a matter of milliseconds: the loop looks again soon.
   */
  | { readonly kind: 'wait'; readonly why: string; readonly yields?: true; readonly isBrief?: boolean }
  /** The process ends, and the container with it. Only after the server has stopped. */
  | { readonly kind: 'exit' }
  /** Makes an outstanding transaction of this peer impossible, then reads what became of it (§6.2). */
  | { readonly kind: 'settle' }
  | { readonly kind: 'close-gate'; readonly why: string }
  | { readonly kind: 'abort-job' }

  /** Settings := these, verified in force (§11.4). */
  | { readonly kind: 'configure'; readonly settings: Settings; readonly why: string }
  | { readonly kind: 'set-status'; readonly status: PeerStatus }
  | { readonly kind: 'answer'; readonly answer: Answer; readonly request: string }

  /** B1. */
  | { readonly kind: 'bootstrap' }
  /** B2, its second half: roles, then the system identifier. */
  | { readonly kind: 'record-system' }
  /** B5: the sync of a shard that has no database yet becomes its primary. */
  | { readonly kind: 'inherit-bootstrap' }

  /** J1: both must confirm. */
  | { readonly kind: 'join-sync'; readonly candidate: string; readonly settings: Settings }
  /** J2 and J3. */
  | { readonly kind: 'declare-sync'; readonly candidate: string }

  /** K2. */
  | { readonly kind: 'cut-receiver' }
  /** K2 undone. */
  | { readonly kind: 'restore-receiver'; readonly settings: Settings }
  /** K1, K3's test and K4; a promotion follows at once. */
  | { readonly kind: 'take-over'; readonly trigger: TakeoverTrigger; readonly candidate: string }
  /** K5 to K7. `isProved`: the settings have just been proved in force. */
  | { readonly kind: 'promote'; readonly settings: Settings; readonly isProved?: boolean }
  /** 7.8, steps 5 and 6. */
  | { readonly kind: 'open'; readonly settings: Settings }

  /** W4: the gate closed, transactions given their time. */
  | { readonly kind: 'drain-clients'; readonly settings: Settings }
  /** W6: proof that the server ended cleanly, then `handed-off`. */
  | { readonly kind: 'hand-off' }
  /** 7.7, steps 1 and 2. */
  | { readonly kind: 'abdicate'; readonly why: string }

  /** A state of the same generation: the chain, addresses, a peer that came back. */
  | { readonly kind: 'write-state'; readonly next: ClusterState }
  | { readonly kind: 'remove-old-incarnations' }
  | { readonly kind: 'save-local' }
  /** The directory is current no more: a rebuild was asked for. It is kept until the new one streams. */
  | { readonly kind: 'discard-directory' }

  /** §13: the two that may break the order of generations. */
  | { readonly kind: 'force-takeover' }
  | { readonly kind: 'state-repair' }

  // Jobs
  | { readonly kind: 'start'; readonly settings: Settings }
  | { readonly kind: 'stop'; readonly mode: StopMode; readonly why: string }
  | { readonly kind: 'initialise' }
  | { readonly kind: 'restore' }
  | { readonly kind: 'base-backup'; readonly from: Endpoint }
  | { readonly kind: 'rewind'; readonly from: Endpoint }
  | { readonly kind: 'checkpoint' };

/**
 * Why S takes over (§7.5). T-a: the primary is gone, or silent and confirmed; T-b: it gave up its role itself; T-c: it has
 * no key in etcd.
 */
export type TakeoverTrigger = 'T-a' | 'T-b' | 'T-c';

export type ActionOf<Kind extends Action['kind']> = Extract<Action, { readonly kind: Kind }>;

/** An action and the rule that asked for it. */
export interface Decision {
  readonly rule: string;
  readonly action: Action;
}
