import { createFieldPacker, fieldsAppliedBy, isApplied, valuesIn } from './managed-fields.ts';
import { aStored } from './testing.ts';

const fields = {
  'f:metadata': { 'f:labels': { 'f:app': {} } },
  'f:spec': {
    'f:ports': {
      'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:port': {}, 'f:name': {} },
      'k:{"port":81,"protocol":"TCP"}': { '.': {}, 'f:port': {} },
    },
    'f:finalizers': { 'v:"kept"': {} },
    'f:selector': {},
    'f:template': { 'f:emptyDir': {} },
  },
};
const intent = {
  metadata: { name: 'a', namespace: 'default', labels: { app: 'x' } },
  spec: {
    ports: [{ port: 80, name: 'http' }, { port: 81 }],
    finalizers: ['kept'],
    selector: { app: 'x' },
    template: { emptyDir: {} },
  },
};
/** What the server made of it: defaults, and what others own. */
const live = {
  metadata: { name: 'a', namespace: 'default', labels: { app: 'x', other: 'y' } },
  spec: {
    ports: [
      { port: 80, name: 'http', protocol: 'TCP', targetPort: 80 },
      { port: 81, protocol: 'TCP', targetPort: 81 },
      { port: 90, protocol: 'TCP' },
    ],
    finalizers: ['theirs', 'kept'],
    selector: { app: 'x' },
    template: { emptyDir: {} },
    clusterIP: '10.0.0.1',
  },
};
type Changed = { [key: string]: unknown };
const spec = (changes: Changed) => ({ ...live, spec: { ...live.spec, ...changes } });
const want = (changes: Changed) => ({ ...intent, spec: { ...intent.spec, ...changes } });

describe('what has been applied', () => {
  it('is recognised among defaults and fields of others', () => {
    expect(isApplied(intent, live, fields)).toBe(true);
    expect(isApplied({ apiVersion: 'v1', kind: 'Thing', ...intent }, live, fields)).toBe(true);
  });

  it('is recognised where the server keeps no empty map', () => {
    const owned = { 'f:metadata': { 'f:annotations': {}, 'f:labels': { 'f:app': {} } } };
    const wanted = { metadata: { name: 'a', annotations: {}, labels: { app: 'x' } } };
    expect(isApplied(wanted, live, owned)).toBe(true);
  });

  it.each([
    ['a value that someone changed', intent, spec({ selector: { app: 'z' } })],
    [
      'a value inside a list that someone changed',
      intent,
      spec({ ports: [{ ...live.spec.ports[0], name: 'web' }, live.spec.ports[1]] }),
    ],
    ['an item that someone removed', intent, spec({ ports: [live.spec.ports[0]] })],
    ['items that someone put in another order', intent, spec({ ports: [live.spec.ports[1], live.spec.ports[0]] })],
    ['a member of a set that someone removed', intent, spec({ finalizers: ['theirs'] })],
    ['a field that is new in the intent', want({ type: 'NodePort' }), live],
    ['a field that the intent no longer has', want({ selector: undefined }), live],
    ['an item that is new in the intent', want({ ports: [...intent.spec.ports, { port: 90 }] }), live],
    ['an item that the intent no longer has', want({ ports: [{ port: 80, name: 'http' }] }), live],
    ['a label that the intent no longer has', { ...intent, metadata: { name: 'a' } }, live],
    ['a value of another form', want({ selector: 'app=x' }), live],
  ])('is not there with %s', (_what, wanted, actual) => {
    expect(isApplied(JSON.parse(JSON.stringify(wanted)), actual, fields)).toBe(false);
  });

  it('has the same values until someone changes an owned field', () => {
    const values = JSON.stringify(valuesIn(fields, live));
    expect(JSON.stringify(valuesIn(fields, spec({ clusterIP: '10.0.0.2' })))).toBe(values);
    expect(JSON.stringify(valuesIn(fields, spec({ finalizers: [] })))).not.toBe(values);
    expect(JSON.stringify(valuesIn(fields, spec({ selector: { app: 'z' } })))).not.toBe(values);
  });

  it('is looked up by manager, operation and subresource', () => {
    const entry = { manager: 'us', operation: 'Apply', fieldsType: 'FieldsV1', fieldsV1: fields };
    const managedFields = [
      { ...entry, operation: 'Update', fieldsV1: {} },
      { ...entry, subresource: 'status', fieldsV1: { 'f:status': {} } },
      { ...entry, manager: 'them' },
      entry,
    ];
    const object = aStored('a', 1, { metadata: { managedFields } });
    expect(fieldsAppliedBy(object, 'us', undefined)).toBe(fields);
    expect(fieldsAppliedBy(object, 'us', 'status')).toEqual({ 'f:status': {} });
    expect(fieldsAppliedBy(object, 'nobody', undefined)).toBeUndefined();
    const pack = createFieldPacker(['us']);
    const kept = pack(object);
    expect(pack(object).metadata.managedFields?.[0]).toBe(kept.metadata.managedFields?.[0]);
    expect(kept.metadata.managedFields).toHaveLength(3);
    expect(fieldsAppliedBy(kept, 'us', undefined)).toEqual(fields);
    expect('managedFields' in createFieldPacker(['nobody'])(object).metadata).toBe(false);
  });
});
