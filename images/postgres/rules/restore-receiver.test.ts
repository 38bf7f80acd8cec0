import { anEndpoint } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { restoreReceiver } from './restore-receiver.ts';

const cut = { server: { receiverPassword: 'empty' } } as const;
const from = (n: number) =>
  ({ kind: 'restore-receiver', settings: expect.objectContaining({ upstream: anEndpoint(n) }) }) as const;

describe('a receiver that was cut', () => {
  checkRule(restoreReceiver, [
    ['receives from the primary again', { role: 'sync', ...cut }, from(0)],
    ['receives from its upstream again when the peer is an async by now', { role: 'async', ...cut }, from(1)],
    ['stays away from a server that is down', { role: 'sync', process: 'down' }, undefined],
    ['is none on a primary', { ...cut }, undefined],
    ['of a deposed peer is not this rule’s', { role: 'deposed', ...cut }, undefined],
  ]);
  checkRule(restoreReceiver, [['is not touched when it was not', { role: 'sync' }, undefined]]);
});
