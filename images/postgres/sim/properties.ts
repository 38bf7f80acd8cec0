import { parseLsn } from '../../../lib/shard/lsn.ts';
import type { ClusterState } from '../../../lib/shard/state.ts';
import { brokenTransition } from '../../../lib/shard/transition.ts';
import { derivedTimes, type Times } from '../times.ts';
import type { Directory, Volume } from './volume.ts';
import type { Wal, WalRecord } from './wal.ts';
import type { Witness } from './witness.ts';

/** The properties of replication.md §16.2. */
export type Property = 'S1' | 'S2' | 'S3' | 'S4' | 'S5' | 'S6' | 'S7' | 'S8' | 'S9' | 'S10' | 'S11' | 'S12';

export interface Violation {
  readonly property: Property;
  /** World time. */
  readonly at: number;
  readonly message: string;
}

export interface CheckerDeps {
  now(): number;
  readonly times: Times;
  volumeOf(peer: string): Volume;
  readonly peers: readonly string[];
  isFrozen(): boolean;
  violated(violation: Violation): void;
  note(peer: string, text: string): void;
}

const FORCED: ReadonlySet<string> = new Set(['force-takeover', 'state-repair']);
/** A message on its way, and the grain of the clock. */
const READ_SLACK_MS = 50;

/**
 * Checks S1 to S10 as things happen, each where it can first break. S1 is checked as the invariant behind it (I4 of §8):
 * whoever may be, or become, primary in the newest generation holds every acknowledged write.
 */
export class Checker implements Witness {
  readonly acknowledgements: WalRecord[] = [];
  generations = 0;
  lastAcknowledgedAt = 0;
  /** P and S of one generation have both lost their volumes: G1 promises nothing any more. */
  isExcluded = false;
  state: ClusterState | undefined;
  readonly #deps: CheckerDeps;
  readonly #confirmed = new Set<WalRecord>();
  readonly #exempt = new Map<WalRecord, 'cancelled' | 'terminated'>();
  readonly #contents = new Map<string, Map<number, WalRecord>>();
  readonly #origins = new Map<string, number>();
  readonly #firstAcknowledged = new Map<string, number>();
  #lostIn: { generation: number; peers: Set<string> } = { generation: 0, peers: new Set() };
  #verified = '';
  #restored: ClusterState | undefined;

  constructor(deps: CheckerDeps) {
    this.#deps = deps;
  }

  /** The key `state` was written. */
  stateWritten(next: ClusterState): void {
    const before = this.#restored ?? this.state;
    this.#restored = undefined;
    const broken = brokenTransition(before, next);
    if (broken !== undefined) this.#violate('S3', `seq ${next.seq} of ${next.writer}: ${broken}`);
    this.state = next;
    if (before !== undefined && next.generation === before.generation) return;
    this.generations += 1;
    this.#verified = '';
    if (before !== undefined && this.#deps.isFrozen() && !FORCED.has(next.cause)) {
      this.#violate('S10', `generation ${next.generation} (${next.cause}) while frozen`);
    }
    // What a forced takeover loses has been accepted.
    if (next.cause === 'force-takeover') this.isExcluded = true;
    const why = `generation ${next.generation} (${next.cause})`;
    // Whatever it calls the life of its directory.
    const successor = this.#deps.volumeOf(next.primary.id).current;
    if (before !== undefined && before.primary.id !== next.primary.id && successor !== undefined) {
      this.#checkHolds(next.primary.id, successor, why);
    }
    this.#checkHolders(why);
  }

  /**
   * The store went back to an older copy. The newest generation there has been stays the newest until somebody writes one
   * on top of the copy.
   */
  stateRestored(copy: ClusterState): void {
    this.#restored = copy;
  }

  volumeLost(peer: string): void {
    const { state } = this;
    if (state === undefined || (state.primary.id !== peer && state.sync?.id !== peer)) return;
    if (this.#lostIn.generation !== state.generation) this.#lostIn = { generation: state.generation, peers: new Set() };
    this.#lostIn.peers.add(peer);
    if (this.#lostIn.peers.size > 1) this.isExcluded = true;
  }

  started(peer: string, directory: Directory, role: 'primary' | 'standby'): void {
    const { state } = this;
    this.note(peer, `starts as ${role} on ${directory.incarnation}`);
    if (state?.systemId == null) return;
    if (directory.systemId !== state.systemId) this.#violate('S9', `${peer} starts with a foreign system identifier`);
    if (directory.isDamaged) this.#violate('S9', `${peer} starts on what a rewind left behind`);
    if (role === 'primary' && state.primary.id === peer && state.primary.incarnation !== directory.incarnation) {
      this.#violate('S9', `${peer} starts as primary on another incarnation than the state's`);
    }
  }

  named(peer: string, ssn: readonly string[]): void {
    if (ssn.length === 0 && this.state !== undefined && this.state.oneNode === undefined) {
      this.#violate('S6', `synchronous_standby_names is empty on ${peer}`);
    }
  }

  written(peer: string, record: WalRecord): void {
    const systemId = this.#deps.volumeOf(peer).current?.systemId ?? '';
    const line = `${systemId} ${record.timeline}`;
    let content = this.#contents.get(line);
    if (content === undefined) {
      content = new Map();
      this.#contents.set(line, content);
    }
    const known = content.get(record.start);
    if (known !== undefined && known !== record) {
      this.#violate('S5', `${peer} writes other content at ${record.start} of timeline ${record.timeline}`);
    }
    content.set(record.start, record);
  }

  promoted(peer: string, { systemId, wal }: Directory): void {
    this.note(peer, `promoted to timeline ${wal.timeline} at ${wal.insertAt}`);
    const line = `${systemId} ${wal.timeline}`;
    const origin = this.#origins.get(line);
    if (origin !== undefined) this.#violate('S5', `${peer} takes timeline ${wal.timeline}, which began elsewhere`);
    this.#origins.set(line, wal.insertAt);
  }

  acknowledged(peer: string, record: WalRecord): void {
    const { state } = this;
    if (state === undefined || state.oneNode !== undefined) return;
    this.#confirmed.add(record);
    this.acknowledgements.push(record);
    this.lastAcknowledgedAt = this.#deps.now();
    const key = `${state.generation} ${peer}`;
    if (!this.#firstAcknowledged.has(key)) this.#firstAcknowledged.set(key, this.lastAcknowledgedAt);
    if (this.isExcluded) return;
    const primary = this.#currentOf(state.primary.id, state.primary.incarnation);
    if (primary !== undefined && !primary.wal.holds(record)) {
      this.#violate(
        peer === state.primary.id ? 'S1' : 'S2',
        `${peer} acknowledged ${record.value} at ${record.start}, which ${state.primary.id}, primary of generation ${state.generation}, does not hold`,
      );
    }
    const sync = this.#eligibleSync();
    if (sync === undefined) return;
    if (this.#verified !== `${state.generation} ${sync.incarnation}`) this.#checkHolders('the sync is eligible');
    else if (!sync.wal.holds(record)) this.#missing(state.sync?.id ?? '', record, 'acknowledged without it');
  }

  exempted(record: WalRecord, how: 'cancelled' | 'terminated'): void {
    this.#exempt.set(record, how);
  }

  /**
   * What termination had made visible must have been replicated before anybody is let in again; from then on a volume may be
   * lost.
   */
  opened(peer: string): void {
    const { state } = this;
    this.note(peer, 'gate open');
    for (const [record, how] of this.#exempt) {
      if (how !== 'terminated') continue;
      this.#exempt.delete(record);
      if (state !== undefined && this.#isOnPair(record, state)) this.#confirmed.add(record);
    }
    this.#checkHolders('the gate opens');
  }

  read(peer: string, { wal }: Directory, askedAt: number, isHidden: (record: WalRecord) => boolean): void {
    const { state } = this;
    if (state === undefined || state.oneNode !== undefined || this.isExcluded) return;
    for (let place = wal.records.length - 1; place >= 0; place -= 1) {
      const record = wal.records[place];
      if (record === undefined || isHidden(record) || this.#exempt.has(record)) continue;
      if (this.#confirmed.has(record)) break;
      if (this.#isOnPair(record, state)) this.#confirmed.add(record);
      else {
        this.#violate('S4', `${peer} shows ${record.value} at ${record.start}, which is not on both of a pair`);
        break;
      }
    }
    const supersededAt = this.#firstAcknowledged.get(`${state.generation} ${state.primary.id}`);
    if (state.primary.id === peer || supersededAt === undefined) return;
    const staleMs = askedAt - supersededAt;
    if (staleMs > derivedTimes(this.#deps.times).fenceMs + READ_SLACK_MS) {
      this.#violate('S8', `${peer}, superseded, answered a question asked ${Math.round(staleMs)} ms later`);
    }
  }

  lost(peer: string, why: string): void {
    this.note(peer, why);
    if (this.isExcluded || this.acknowledgements.length === 0) return;
    const wals = this.#deps.peers.flatMap(id => this.#deps.volumeOf(id).directories.map(directory => directory.wal));
    const orphan = this.acknowledgements.findLast(record => !wals.some(wal => wal.holds(record)));
    if (orphan !== undefined && this.#lostIn.peers.size === 0) {
      this.#violate('S7', `${peer} (${why}) held the only copy of ${orphan.value}`);
    }
    this.#checkHolders(why);
  }

  note(peer: string, text: string): void {
    this.#deps.note(peer, text);
  }

  /** Now and then: a sync may have become eligible since. */
  sweep(): void {
    const { state } = this;
    const sync = this.#eligibleSync();
    if (state === undefined || sync === undefined) return;
    if (this.#verified !== `${state.generation} ${sync.incarnation}`) this.#checkHolders('the sync is eligible');
  }

  /** Everybody who may be or become primary now holds everything acknowledged. */
  #checkHolders(why: string): void {
    const { state } = this;
    if (state === undefined || this.isExcluded) return;
    const sync = this.#eligibleSync();
    if (sync !== undefined) this.#verified = `${state.generation} ${sync.incarnation}`;
    const primary = this.#currentOf(state.primary.id, state.primary.incarnation);
    if (primary !== undefined) this.#checkHolds(state.primary.id, primary, why);
    if (sync !== undefined) this.#checkHolds(state.sync?.id ?? '', sync, why);
  }

  #checkHolds(peer: string, { wal }: Directory, why: string): void {
    if (this.isExcluded) return;
    const missing = this.acknowledgements.find(record => !wal.holds(record));
    if (missing !== undefined) this.#missing(peer, missing, why);
  }

  #missing(peer: string, record: WalRecord, why: string): void {
    this.#violate(
      'S1',
      `${peer} may be primary and lacks the acknowledged ${record.value} at ${record.start} of timeline ${record.timeline} (${why})`,
    );
  }

  #isOnPair(record: WalRecord, state: ClusterState): boolean {
    const holds = (id: string | undefined) =>
      id !== undefined && this.#deps.volumeOf(id).current?.wal.holds(record) === true;
    return holds(state.primary.id) && holds(state.sync?.id);
  }

  #currentOf(peer: string, incarnation: string | null): Directory | undefined {
    const directory = this.#deps.volumeOf(peer).current;
    return directory !== undefined && directory.incarnation === incarnation ? directory : undefined;
  }

  /** §7.5, written down a second time. */
  #eligibleSync(): Directory | undefined {
    const { state } = this;
    if (state?.sync == null || state.systemId === null) return undefined;
    const directory = this.#currentOf(state.sync.id, state.sync.incarnation);
    if (directory === undefined || directory.isDamaged || directory.wal.timeline > state.timeline) return undefined;
    return contains(directory.wal, state.initTimeline, Number(parseLsn(state.initWal))) ? directory : undefined;
  }

  #violate(property: Property, message: string): void {
    this.#deps.violated({ property, at: this.#deps.now(), message });
  }
}

function contains(wal: Wal, timeline: number, position: number): boolean {
  if (wal.completeEnd < position) return false;
  return wal.timeline === timeline || (wal.endOf(timeline) ?? -1) >= position;
}
