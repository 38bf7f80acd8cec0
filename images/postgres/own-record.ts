import type { Logger } from 'pino';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { formatLsn, laterOf } from '../../lib/shard/lsn.ts';
import type { PeerHealth, PeerRecord, PeerStatus } from '../../lib/shard/records.ts';
import type { OwnRecord } from './ports.ts';
import type { ServerView } from './server.ts';
import type { LocalRecord, Me } from './snapshot.ts';

/** What the record says beyond its own status. */
export interface RecordFacts {
  readonly local: LocalRecord;
  readonly server: ServerView;
  readonly health: PeerHealth;
  readonly progress: number | undefined;
  /** The rule that holds this peer back. */
  readonly rule: { readonly name: string; readonly why: string } | undefined;
}

/** This peer's record, kept for its registration to write. */
export interface KeptRecord extends OwnRecord {
  /** What the registration is to write: the record as JSON. */
  value(): string;
  /** Takes over what is true now, and has it written if that is called for. */
  show(facts: RecordFacts): void;
}

/** Positions are for people: they may be this old. */
const POSITIONS_EVERY_MS = 5_000;
/** What shows how this peer is may be this old: in a takeover it would take its turn before the writes that are waited for. */
const SHOWN_WITHIN_MS = 300;

/** S's takeover compares the revision of such a record; only a withdrawal may defeat it (§5.2). */
const isSealed = (status: PeerStatus) => status === 'abdicating' || status === 'handed-off';

/** Composes `peers/<id>` (replication.md §5.2). `write` has the registration write what `value` says; false: not sure. */
export function createOwnRecord(
  deps: { readonly logger: Logger; readonly now: () => number; readonly write: () => Promise<boolean> },
  me: Me,
  initial: RecordFacts,
): KeptRecord {
  const { now } = deps;
  let status: PeerStatus = 'active';
  let statusGeneration = initial.local.highWater.maxGeneration;
  let statusSince = now();
  let withdrewAt: number | undefined;
  let handedOffAt: string | undefined;
  let rewindable = true;
  let facts = initial;
  let record = compose();
  let recordEssence = essence(record);
  let positionsAt = now();
  let unshownSince: number | undefined;

  function compose(): PeerRecord {
    const { local, server, health, progress, rule } = facts;
    const { directory, answered } = server;
    const usable = directory.kind === 'usable' ? directory : undefined;
    return {
      ...me,
      incarnation: local.incarnation,
      status,
      statusGeneration,
      systemId: usable?.systemId ?? null,
      timeline: answered?.timeline ?? usable?.timeline ?? null,
      walEnd: walEndOf(server),
      ...(handedOffAt === undefined ? {} : { handedOffAt }),
      rewindable,
      health,
      local: local.highWater,
      ...(progress === undefined ? {} : { progress: Math.round(progress * 100) / 100 }),
      ...(rule === undefined ? {} : { rule }),
    };
  }

  function turn(next: PeerStatus, generation: number): void {
    // In a later generation somebody has accepted.
    if (isSealed(status) && next === 'active' && generation === statusGeneration) withdrewAt = now();
    deps.logger.info({ from: status, to: next }, 'status changed');
    status = next;
    statusSince = now();
  }

  function become(next: PeerRecord): void {
    record = next;
    recordEssence = essence(next);
    positionsAt = now();
    unshownSince = undefined;
  }

  /** Whether there is something to write. */
  function recompose(): boolean {
    const next = compose();
    const isAsShown = essence(next) === recordEssence;
    if (isAsShown) unshownSince = undefined;
    else unshownSince ??= now();
    const age = isAsShown ? now() - positionsAt - POSITIONS_EVERY_MS : now() - (unshownSince ?? 0) - SHOWN_WITHIN_MS;
    if (age < 0 && isSameData(next, record)) return false;
    const isNews = JSON.stringify(next) !== JSON.stringify(record);
    become(next);
    return isNews;
  }

  return {
    get status() {
      return status;
    },
    get statusGeneration() {
      return statusGeneration;
    },
    get statusSince() {
      return statusSince;
    },
    get withdrewAt() {
      return withdrewAt;
    },
    get rewindable() {
      return rewindable;
    },
    value: () => JSON.stringify(record),
    forbidRewind() {
      rewindable = false;
    },
    show(latest) {
      facts = latest;
      // What does not reach etcd now, the registration writes with its next look.
      if (!isSealed(status) && recompose()) void deps.write();
    },
    async set(change) {
      if (change.rewindable !== undefined) rewindable = change.rewindable;
      const isNewStatus = change.status !== undefined && change.status !== status;
      if (isNewStatus || !isSealed(status)) {
        if (change.status !== undefined && isNewStatus)
          turn(change.status, change.statusGeneration ?? statusGeneration);
        if (change.statusGeneration !== undefined) statusGeneration = change.statusGeneration;
        handedOffAt = status === 'handed-off' ? (change.handedOffAt ?? handedOffAt) : undefined;
        become(compose());
      }
      // Also when nothing is new: an earlier attempt may have failed, and what stands already is not written again.
      if (!(await deps.write())) {
        throw new MantaError('CoordinatorUnavailable', "this peer's record could not be written");
      }
    },
  };
}

/** Others decide on which data there is: that is written at once. */
function isSameData(a: PeerRecord, b: PeerRecord): boolean {
  return a.incarnation === b.incarnation && a.systemId === b.systemId;
}

/** What others are told soon: not the positions, and of a rule only which one it is. */
function essence({ walEnd: _, progress: __, rule, ...rest }: PeerRecord): string {
  return JSON.stringify([rest, rule?.name]);
}

function walEndOf({ answered, directory }: ServerView): string | null {
  const { flushed, received, replayed } = answered ?? {};
  if (flushed !== undefined) return formatLsn(flushed);
  if (replayed !== undefined) return formatLsn(received === undefined ? replayed : laterOf(received, replayed));
  return directory.kind === 'usable' && directory.end !== undefined ? formatLsn(directory.end) : null;
}
