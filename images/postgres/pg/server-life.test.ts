import { createTestPlace, noSettings, type TestPlace } from './testing.ts';

let place: TestPlace;
beforeEach(async () => {
  place = await createTestPlace();
});
afterEach(() => place.clear());

const soon = () => AbortSignal.timeout(20_000);

describe('a new server', () => {
  it('is initialised, started, observed and stopped', async () => {
    const peer = await place.empty('p');
    expect((await peer.server.observe()).directory).toEqual({ kind: 'none' });
    const incarnation = await peer.server.initialise(soon());
    expect((await peer.server.observe()).directory).toEqual({ kind: 'unfinished' });
    peer.adopt(incarnation);
    await peer.start(noSettings);
    const view = await peer.server.observe();
    expect(view).toMatchObject({
      process: { kind: 'up' },
      directory: { kind: 'usable', incarnation, pgMajor: peer.server.pgMajor, timeline: 1, isClean: false },
      written: noSettings,
      answered: { inRecovery: false, timeline: 1, ssn: [], readOnly: false, senders: [], ancestry: [] },
      unansweredSince: undefined,
      crashedAt: undefined,
      drift: undefined,
    });
    const [settings] = await peer.sql.query(
      `SELECT current_setting('data_checksums') AS sums, current_setting('server_encoding') AS encoding,
         current_setting('lc_collate') AS collate, current_setting('fsync') AS fsync`,
    );
    expect(settings).toEqual({ sums: 'on', encoding: 'UTF8', collate: 'C', fsync: 'on' });
    await peer.server.stop('fast', soon());
    const after = await peer.server.observe();
    expect(after).toMatchObject({ process: { kind: 'none' }, directory: { isClean: true, wasStandby: false } });
    expect(after.answered).toBeUndefined();
  });
});
