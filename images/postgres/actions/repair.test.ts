import { aSender, aSnapshot, type Difference, END } from '../testing/a-snapshot.ts';
import { createRecorder } from '../testing/recorder.ts';
import { forceTakeover, stateRepair } from './repair.ts';

const wanted = (sync?: string) => ({
  'state-repair': { id: 'r', generation: 0, by: 'op', peer: 'pg-1-0', ...(sync === undefined ? {} : { sync }) },
});
const marks = { maxGeneration: 8, maxSeq: 20, lastRole: 'sync', lastTimeline: 6 } as const;
const missing: Difference = { state: 'absent', records: { 'pg-1-1': { local: marks } } };

describe('a repair of the state', () => {
  it('has the new sync confirm before a running primary reads its position, and rises above all that was seen', async () => {
    const snapshot = aSnapshot({ ...missing, requests: wanted('pg-1-2') });
    const { ports, calls, world, written } = createRecorder(snapshot);
    world.senders = [aSender('pg-1-1', { priority: 2 }), aSender('pg-1-2')];
    await stateRepair(ports, snapshot);
    expect(calls).toEqual([
      'server.writeSettings ssn=pg-1-2+pg-1-1 gate=open upstream=nobody',
      'server.reload',
      'server.inForce',
      'server.senders',
      'server.positions',
      'store.writeState 9',
      'store.refresh',
    ]);
    expect(written[0]?.next).toMatchObject({
      generation: 9,
      seq: 21,
      timeline: 7,
      initTimeline: 3,
      initWal: END,
      sync: { id: 'pg-1-2' },
    });
  });

  it('leaves the names as they are where the sync stays', async () => {
    const snapshot = aSnapshot({ ...missing, requests: wanted('pg-1-1') });
    const { ports, calls } = createRecorder(snapshot);
    await stateRepair(ports, snapshot);
    expect(calls[0]).toBe('server.positions');
  });

  it('reserves a timeline beyond that of the server itself', async () => {
    const snapshot = aSnapshot({ state: 'absent', requests: wanted('pg-1-1'), answered: { timeline: 11 } });
    const { ports, written } = createRecorder(snapshot);
    await stateRepair(ports, snapshot);
    expect(written[0]?.next).toMatchObject({ timeline: 12, initTimeline: 11 });
  });

  it('is a state of one where nobody else is left', async () => {
    const snapshot = aSnapshot({ ...missing, requests: wanted() });
    const { ports, written } = createRecorder(snapshot);
    await stateRepair(ports, snapshot);
    expect(written[0]?.next).toMatchObject({ sync: null, oneNode: 'lone-survivor' });
  });

  it('cuts and drains a former sync', async () => {
    const requests = { 'state-repair': { ...wanted('pg-1-2')['state-repair'], peer: 'pg-1-1' } };
    const snapshot = aSnapshot({ role: 'sync', state: 'absent', requests });
    const { ports, calls } = createRecorder(snapshot);
    await stateRepair(ports, snapshot);
    expect(calls.indexOf('server.writeReceiverPassword empty')).toBeLessThan(calls.indexOf('server.terminateClients'));
    expect(calls.indexOf('server.terminateClients')).toBeLessThan(calls.indexOf('store.writeState 5'));
  });
});

describe('a forced takeover', () => {
  const requests = {
    'force-takeover': { id: 'r', generation: 4, by: 'op', peer: 'pg-1-2', acceptDataLoss: true as const },
  };

  it('cuts, drains, and goes on alone when nobody is left', async () => {
    const snapshot = aSnapshot({
      role: 'async',
      isFrozen: true,
      requests,
      records: { 'pg-1-0': 'absent', 'pg-1-1': 'absent' },
    });
    const { ports, calls, written } = createRecorder(snapshot);
    await forceTakeover(ports, snapshot);
    expect(calls[1]).toBe('server.writeReceiverPassword empty');
    expect(written[0]?.next).toMatchObject({
      generation: 5,
      timeline: 4,
      primary: { id: 'pg-1-2' },
      sync: null,
      oneNode: 'lone-survivor',
      deposed: [{ id: 'pg-1-0' }],
      cause: 'force-takeover',
    });
  });

  it('takes whoever else is well as its sync', async () => {
    const snapshot = aSnapshot({
      role: 'async',
      peers: 5,
      isFrozen: true,
      requests,
      records: { 'pg-1-0': 'absent', 'pg-1-1': 'absent' },
    });
    const { ports, written } = createRecorder(snapshot);
    await forceTakeover(ports, snapshot);
    expect(written[0]?.next).toMatchObject({ sync: { id: 'pg-1-3' }, async: [{ id: 'pg-1-4' }] });
    expect(written[0]?.next.oneNode).toBeUndefined();
  });
});
