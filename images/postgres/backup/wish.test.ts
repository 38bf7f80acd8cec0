import { aSnapshot, type Difference, SYSTEM_ID } from '../testing/a-snapshot.ts';
import { backupWish } from './wish.ts';

const config = { backup: { target: '/backups', recoveryDays: 14 } };

describe('who makes backups', () => {
  const cases: readonly [string, Difference, boolean][] = [
    ['the last async', { role: 'async' }, true],
    ['not an async with another below it', { role: 'async', peers: 5 }, false],
    ['not the sync', { role: 'sync' }, false],
    ['not a primary that has an async', {}, false],
    ['a primary that has none, with its gate open', { peers: 1 }, true],
    ['not while its gate is closed', { peers: 1, written: { gate: 'closed', dumps: false } }, false],
    ['nobody where there is no target', { role: 'async', config: {} }, false],
    ['nobody who is to end', { role: 'async', isTerminating: true }, false],
    ['nobody whose server is down', { role: 'async', process: 'down' }, false],
    ['nobody whose server is being stopped', { role: 'async', rest: { job: { kind: 'stop', since: 0 } } }, false],
    ['nobody with the data of another database', { role: 'async', directory: { systemId: '1' } }, false],
    [
      'nobody whose volume is nearly full: its WAL is given up',
      { role: 'async', server: { free: { ratio: 0.09, bytes: 1 } } },
      false,
    ],
  ];

  it.each(cases)('%s', (_, difference, expected) => {
    const wish = backupWish(aSnapshot({ config, ...difference }));
    expect(wish !== undefined).toBe(expected);
    if (wish !== undefined) expect(wish).toMatchObject({ target: '/backups', system: { systemId: SYSTEM_ID } });
  });
});
