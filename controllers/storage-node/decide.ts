import { storageIdOf } from '../../lib/resources/names.ts';
import type { OwnedObject } from '../owned.ts';
import type { ReportedNode, WebapiClient } from '../webapi-client.ts';
import { refusalOf } from './judge.ts';
import { storageClaim, storageConfig, storageConfigMap, storageStatefulSet } from './objects.ts';
import type { StorageSnapshot } from './snapshot.ts';

/** One thing to do about a storage node. All of them may be repeated. */
export type StorageAction =
  | { readonly kind: 'apply'; readonly object: OwnedObject }
  /** The claim is nobody's: it outlives the StorageNode. */
  | { readonly kind: 'apply-free'; readonly object: OwnedObject }
  | {
      readonly kind: 'set-node';
      readonly storageId: string;
      readonly change: Parameters<WebapiClient['setStorageNode']>[1];
    };

/** What to do about a storage node, in order; nothing about one that is refused. Pure. */
export function decideStorageNode(s: StorageSnapshot): readonly StorageAction[] {
  const { view, publicKids, control } = s;
  if (view === undefined || refusalOf(s) !== undefined) return [];
  const node = { name: s.node.metadata.name, spec: s.node.spec };
  const actions: StorageAction[] = [];
  const { size, claimName } = node.spec.volume;
  if (claimName === undefined && size !== undefined && s.claim === undefined)
    actions.push({ kind: 'apply-free', object: { in: 'claims', intent: storageClaim(view, node, size) } });
  if (publicKids !== undefined) {
    const config = storageConfig(view, node, publicKids);
    actions.push({ kind: 'apply', object: { in: 'configMaps', intent: storageConfigMap(view, node, config) } });
    const intent = storageStatefulSet(view, node, { config, publicKids });
    actions.push({ kind: 'apply', object: { in: 'statefulSets', intent } });
  }
  const change = control?.reported && dueChange(s, control.reported);
  if (change !== undefined) actions.push({ kind: 'set-node', storageId: storageIdOf(node.name, view.spec), change });
  return actions;
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
