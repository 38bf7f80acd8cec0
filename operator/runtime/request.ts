import type { ObjectKey } from '../../lib/kubernetes/object.ts';

/** Which object to reconcile: never why. Controller-runtime's word. */
export type Request = ObjectKey;

/** What a reconcile wants next. Nothing: until one of its watches tells of a change. */
export interface Result {
  /** Look again after so many milliseconds, even if nothing is told. */
  readonly requeueAfterMs?: number;
}
