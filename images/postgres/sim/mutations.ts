import type { Coordinator } from '../../../lib/coordinator/coordinator.ts';
import type { ShardKeys } from '../../../lib/shard/keys.ts';
import type { Executors } from '../act.ts';
import type { Rule } from '../decide.ts';
import type { DetectorDeps } from '../detector.ts';
import type { KeptRecord } from '../own-record.ts';
import type { Server } from '../server.ts';
import type { Life } from './scheduler.ts';

/** One protection switched off, by putting other rules, actions or ports in the place of the real ones. */
export interface Mutation {
  readonly name: string;
  /** What the design has against it, and what is done here instead. */
  readonly why: string;
  /** In the place of the rules of the same names. */
  readonly rules?: readonly Rule[];
  readonly executors?: Partial<Executors>;
  readonly coordinator?: (real: Coordinator, keys: ShardKeys) => Coordinator;
  readonly server?: (real: Server, life: Life) => Server;
  readonly record?: (real: KeptRecord) => KeptRecord;
  readonly detector?: (real: DetectorDeps) => DetectorDeps;
}
