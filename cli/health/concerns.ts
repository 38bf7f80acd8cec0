import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Condition, MantaRegion, Shard, StorageNode } from '../../lib/resources/types.ts';

/** Something that is not as it should be. */
export interface Concern {
  /** An error: it does not serve. A warning: it serves, with less room for the next fault. */
  readonly severity: 'error' | 'warning';
  /** RFC 3339; undefined when nobody has written it down. */
  readonly since: string | undefined;
  /** The condition's reason. */
  readonly alert: string;
  /** Kind and name as kubectl takes them: `mshard/shard-2`. */
  readonly affects: string;
  /** What is missing, where to look, and the next command. */
  readonly summary: string;
}

/** When a condition is a concern. */
interface Rule {
  readonly type: string;
  readonly severity: Concern['severity'];
  /** The statuses that are a concern. */
  readonly bad: readonly Condition['status'][];
  /** Reasons that are as somebody wished, or known to be so in this version. */
  readonly except?: readonly string[];
  /** Only these reasons. */
  readonly only?: readonly string[];
}

const not = (type: string, severity: Concern['severity'], ...except: string[]): Rule => ({
  type,
  severity,
  bad: ['False', 'Unknown'],
  except,
});
const when = (type: string, severity: Concern['severity']): Rule => ({ type, severity, bad: ['True'] });
const halted: Rule = {
  type: 'Progressing',
  severity: 'warning',
  bad: ['False'],
  only: ['RolloutHalted', 'VersionSkew', 'VolumeCannotGrow', 'MovesUnavailable'],
};
/** Nobody makes these checks yet where they are Unknown. */
const checked = (type: string): Rule => ({ type, severity: 'error', bad: ['False'] });

/** What every kind's conditions are to be: operations.md §3.2.3, §3.3.2, §3.4.2. */
const RULES = {
  mr: [
    not('Ready', 'error'),
    checked('ReadsAvailable'),
    checked('WritesAvailable'),
    checked('JobsAvailable'),
    when('Degraded', 'warning'),
    halted,
  ],
  mshard: [
    not('Ready', 'error'),
    when('Degraded', 'warning'),
    // One peer is what the spec asks for.
    not('FaultTolerant', 'warning', 'SinglePeer'),
    when('Frozen', 'warning'),
    not('BackupFresh', 'warning', 'Disabled', 'NoneYet'),
    halted,
  ],
  msn: [
    // Reads find other copies, writes other nodes.
    not('Ready', 'warning'),
    when('Degraded', 'warning'),
    // Offline is what Ready says already.
    not('Writable', 'warning', 'ReadOnly', 'Draining', 'Offline'),
    halted,
  ],
} as const satisfies Record<string, readonly Rule[]>;

type Short = keyof typeof RULES;

/** What is not as it should be with a region, errors first. Pure. */
export function regionConcerns(region: Stored<MantaRegion>): readonly Concern[] {
  return concernsOf('mr', region);
}

/** The same for a shard. Pure. */
export function shardConcerns(shard: Stored<Shard>): readonly Concern[] {
  return concernsOf('mshard', shard);
}

/** The same for a storage node. Pure. */
export function storageConcerns(node: Stored<StorageNode>): readonly Concern[] {
  return concernsOf('msn', node);
}

function concernsOf(short: Short, object: Stored<MantaRegion | Shard | StorageNode>): readonly Concern[] {
  const { metadata, status } = object;
  const affects = `${short}/${metadata.name}`;
  const conditions = status?.conditions;
  if (conditions === undefined) {
    return [
      {
        severity: 'error',
        since: metadata.creationTimestamp,
        alert: 'NotObserved',
        affects,
        summary: 'the operator has not looked at it: kubectl get deployment manta-operator',
      },
    ];
  }
  const rules: readonly Rule[] = RULES[short];
  const found: Concern[] = rules.flatMap(rule => {
    const condition = conditions.find(({ type }) => type === rule.type);
    if (condition === undefined || !isBad(rule, condition)) return [];
    const { reason, message, lastTransitionTime } = condition;
    return { severity: rule.severity, since: lastTransitionTime, alert: reason, affects, summary: message };
  });
  const isStale = (status?.observedGeneration ?? 0) < (metadata.generation ?? 0);
  if (!isStale) return found;
  const summary = 'the operator has not taken up the newest spec yet: kubectl logs deployment/manta-operator';
  return [...found, { severity: 'warning', since: undefined, alert: 'SpecNotObserved', affects, summary }];
}

function isBad({ bad, except, only }: Rule, { status, reason }: Condition): boolean {
  return bad.includes(status) && !except?.includes(reason) && (only?.includes(reason) ?? true);
}
