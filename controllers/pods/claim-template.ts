import type { PersistentVolumeClaim } from '../../lib/kubernetes/resources.ts';
import type { ClaimTemplate } from '../../lib/resources/types.ts';
import { canonicalQuantity } from './quantities.ts';

/** What a claim on a volume asks for. */
export function claimSpec({
  class: storageClassName,
  size,
}: ClaimTemplate): NonNullable<PersistentVolumeClaim['spec']> {
  return {
    accessModes: ['ReadWriteOnce'],
    ...(storageClassName === undefined ? {} : { storageClassName }),
    resources: { requests: { storage: canonicalQuantity(size) } },
    volumeMode: 'Filesystem',
  };
}

/**
 * A template of a StatefulSet, with everything that the API server would fill in: the list of them is one value, which is
 * compared as a whole.
 */
export function claimTemplate(
  name: string,
  labels: Readonly<Record<string, string>>,
  template: ClaimTemplate,
): PersistentVolumeClaim {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, labels },
    spec: claimSpec(template),
    status: { phase: 'Pending' },
  };
}
