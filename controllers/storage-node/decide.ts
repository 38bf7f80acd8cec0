import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Pod } from '../../lib/kubernetes/resources.ts';
import { storageIdOf } from '../../lib/resources/names.ts';
import type { OwnedObject } from '../owned.ts';
import { isBroken } from '../pods/pod-state.ts';
import { changesTemplate, outdatedPods } from '../pods/template-hash.ts';
import type { ReportedNode, WebapiClient } from '../webapi-client.ts';
import { refusalOf } from './judge.ts';
import { storageClaim, storageConfig, storageConfigMap, storageStatefulSet } from './objects.ts';
import type { StorageSnapshot } from './snapshot.ts';

/** One thing to do about a storage node. All of them may be repeated. */
export type StorageAction =
  | { readonly kind: 'apply'; readonly object: OwnedObject }
  /** The claim is nobody's: it outlives the StorageNode. */
  | { readonly kind: 'apply-free'; readonly object: OwnedObject }
  | { readonly kind: 'replace-pod'; readonly pod: Stored<Pod> }
  | {
      readonly kind: 'set-node';
      readonly storageId: string;
      readonly change: Parameters<WebapiClient['setStorageNode']>[1];
    };

/** What a storage node needs now. */
export interface StoragePlan {
  readonly actions: readonly StorageAction[];
  /** Whether its pod is to be another one: not, now, or when it is its turn. */
  readonly change: 'none' | 'going-on' | 'waiting';
}

/** What to do about a storage node, in order; nothing about one that is refused. Pure. */
export function decideStorageNode(s: StorageSnapshot): StoragePlan {
  const { view, publicKids, control } = s;
  if (view === undefined || refusalOf(s) !== undefined) return { actions: [], change: 'none' };
  const node = { name: s.node.metadata.name, spec: s.node.spec };
  const actions: StorageAction[] = [];
  const { size, claimName } = node.spec.volume;
  if (claimName === undefined && size !== undefined && s.claim === undefined)
    actions.push({ kind: 'apply-free', object: { in: 'claims', intent: storageClaim(view, node, size) } });
  let isDue = false;
  if (publicKids !== undefined) {
    const config = storageConfig(view, node, publicKids);
    const intent = storageStatefulSet(view, node, { config, publicKids });
    isDue = changesTemplate(s.statefulSet, intent);
    if (mayReplace(s) || !isDue) {
      actions.push({ kind: 'apply', object: { in: 'configMaps', intent: storageConfigMap(view, node, config) } });
      actions.push({ kind: 'apply', object: { in: 'statefulSets', intent } });
    }
  }
  const outdated = outdatedPods(s.statefulSet, s.pod === undefined ? [] : [s.pod]);
  for (const pod of outdated)
    if (mayReplace(s) && pod.metadata.deletionTimestamp === undefined) actions.push({ kind: 'replace-pod', pod });
  const change = control?.reported && dueChange(s, control.reported);
  if (change !== undefined) actions.push({ kind: 'set-node', storageId: storageIdOf(node.name, view.spec), change });
  const isChanging = isDue || outdated.length > 0;
  return { actions, change: !isChanging ? 'none' : mayReplace(s) ? 'going-on' : 'waiting' };
}

/** In its turn; a pod that serves nothing already is replaced at once, so that a fix can reach it. operations.md §4.6. */
function mayReplace({ hasTurn, pod, view, nowMs }: StorageSnapshot): boolean {
  if (pod === undefined || isBroken(pod, nowMs)) return true;
  return hasTurn && view?.spec.paused !== true;
}

/** What the control database has to be told: operations.md §4.4. */
function dueChange(
  { node: { spec } }: StorageSnapshot,
  reported: ReportedNode,
): Parameters<WebapiClient['setStorageNode']>[1] | undefined {
  const writes = spec.mode === 'ReadWrite' ? 'enabled' : 'disabled';
  const { acceptIncarnation: accepted } = spec;
  // Only the volume that speaks now: an acceptance that is left in the spec accepts no other one later.
  const isDue =
    accepted !== undefined && accepted === reported.reportedIncarnation && accepted !== reported.incarnation;
  if (reported.writes === writes && !isDue) return undefined;
  return { writes, ...(isDue ? { acceptIncarnation: accepted } : {}) };
}
