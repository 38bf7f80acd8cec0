import { aState, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { closeGate } from './close-gate.ts';

const stale = { freshAt: NOW - 3_000 };

describe('the gate', () => {
  checkRule(closeGate, [
    ['stays open while something proves that nobody has taken over', {}, undefined],
    ['stays open a moment before the fence is due', { evidence: { freshAt: NOW - 2_999 } }, undefined],
    [
      'closes when no proof is younger than the fence',
      { evidence: stale },
      { kind: 'close-gate', why: /nothing proves/ },
    ],
    ['closes when there never was a proof', { evidence: { freshAt: undefined } }, { kind: 'close-gate' }],
    [
      'closes when a safety setting is not in force',
      { server: { drift: 'fsync is off' } },
      { kind: 'close-gate', why: /fsync/ },
    ],
    [
      'closes for drift in a one-node state too',
      { peers: 1, server: { drift: 'fsync is off' } },
      { kind: 'close-gate' },
    ],
    ['knows no fence in a one-node state', { peers: 1, evidence: stale }, undefined],
    ['is let alone when it is closed', { evidence: stale, written: { gate: 'closed' } }, undefined],
    [
      'is closed again when those who were in could not be ended',
      {
        written: { gate: 'closed' },
        rest: { failures: { 'close-gate': { count: 1, lastAt: NOW - 10, message: 'late' } } },
      },
      { kind: 'close-gate', why: /could not be ended/ },
    ],
    ['is nothing to a server that is down', { process: 'down', evidence: stale }, undefined],
    [
      'closes for a server that is open although the state names another primary',
      {
        state: { ...aState(), primary: aState().async[0] ?? aState().primary, async: [] },
        evidence: { freshAt: undefined },
      },
      { kind: 'close-gate' },
    ],
  ]);
});
