import type { Rule } from '../decide.ts';
import { answeredAsPrimary, answeredAsStandby, asPrimary } from '../facts.ts';

/** §5.3, K9, §7.10. */
export const keepHouse: Rule = {
  name: 'keep-house',
  why: 'nothing is urgent',
  decide(s) {
    const state = s.etcd.state?.value;
    if (state === undefined) return undefined;
    const { highWater } = s.local;
    if (state.generation > highWater.maxGeneration || state.seq > highWater.maxSeq) return { kind: 'save-local' };
    const isOpen =
      asPrimary(s) !== undefined && s.server.written?.gate === 'open' && answeredAsPrimary(s) !== undefined;
    if (isOpen && !s.evidence.rewindable && s.job === undefined) return { kind: 'checkpoint' };
    const isSafe = isOpen || answeredAsStandby(s)?.isStreaming === true;
    return isSafe && s.server.oldIncarnations.length > 0 ? { kind: 'remove-old-incarnations' } : undefined;
  },
};
