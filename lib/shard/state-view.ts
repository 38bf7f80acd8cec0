import type { Logger } from 'pino';
import type { PrefixRead, Subscription } from '../coordinator/coordinator.ts';
import type { ClusterState } from './state.ts';
import { parseState } from './transition.ts';

/** A shard's keys as they are followed: what is needed of a PrefixView of `lib/coordinator/follow-prefix.ts`. */
export interface StateSource {
  /** The newest read that succeeded; undefined before the first. */
  current(): PrefixRead | undefined;
  /** Calls back after the contents of `current` have changed. */
  onChange(listener: () => void): Subscription;
}

/** The state of a shard as somebody follows it who must never go back. */
export interface StateView {
  /** Takes what the source shows now. */
  look(): void;
  /** The last state that was good to follow. */
  current(): ClusterState | undefined;
  /** True while the source shows exactly that state, so that every further read of it proves it. */
  isConfirmed(): boolean;
}

/**
 * A state that cannot be read, breaks a rule, or lies before one seen already is not followed and proves nothing: etcd was
 * restored or its keys were lost (replication.md §6.8), and the last one is kept.
 */
export function createStateView(
  deps: { readonly source: StateSource; readonly logger: Logger },
  config: { readonly key: string },
): StateView {
  let text: string | undefined;
  let refused: string | undefined;
  let state: ClusterState | undefined;

  const shown = () => deps.source.current()?.entries.find(entry => entry.key === config.key)?.value;

  function refuse(found: string, reason: string, facts: object): void {
    // Other keys of the shard go on changing: once is enough.
    if (refused === found) return;
    refused = found;
    const known = { generation: state?.generation, seq: state?.seq };
    deps.logger.error({ key: config.key, reason, known, ...facts }, 'shard state not followed');
  }

  function take(found: string): void {
    let next: ClusterState;
    try {
      next = parseState(found);
    } catch (error) {
      refuse(found, 'invalid', { err: error });
      return;
    }
    if (state !== undefined && (next.generation < state.generation || next.seq <= state.seq)) {
      refuse(found, 'went back', { found: { generation: next.generation, seq: next.seq } });
      return;
    }
    state = next;
    text = found;
  }

  return {
    look() {
      if (deps.source.current() === undefined) return;
      const found = shown();
      if (found === undefined) {
        if (state !== undefined) refuse('', 'missing', {});
      } else if (found !== text) {
        take(found);
      }
    },
    current: () => state,
    isConfirmed: () => text !== undefined && shown() === text,
  };
}
