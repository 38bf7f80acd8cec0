import { deployments, namespaces, pods } from '../../lib/kubernetes/resources.ts';
import { controllerReference, isControlledBy, toController, toSelf } from './owner.ts';
import { aStored } from './testing.ts';

describe('owners', () => {
  const owner = aStored('web', 1);
  const child = aStored('web-1', 2, { metadata: { ownerReferences: [controllerReference(deployments, owner)] } });

  it('control what refers to them by uid, not what referred to one of the same name before', () => {
    expect(isControlledBy(child, owner)).toBe(true);
    expect(isControlledBy(child, aStored('web', 9, { metadata: { uid: 'later' } }))).toBe(false);
  });

  it('are found from what they control, by group and kind', () => {
    expect(toController(deployments)(child)).toEqual([{ namespace: 'default', name: 'web' }]);
    expect(toController(pods)(child)).toEqual([]);
    expect(toController({ ...deployments, group: 'example.org' })(child)).toEqual([]);
    expect(toController(deployments)(owner)).toEqual([]);
  });

  it('have no namespace when their kind has none', () => {
    const inside = aStored('x', 2, { metadata: { ownerReferences: [controllerReference(namespaces, owner)] } });
    expect(toController(namespaces)(inside)).toEqual([{ name: 'web' }]);
    expect(toSelf(child)).toEqual([{ namespace: 'default', name: 'web-1' }]);
  });
});
