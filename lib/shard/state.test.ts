import {
  type ClusterState,
  chainOf,
  clusterStateSchema,
  downstreamOf,
  type PeerRef,
  roleOf,
  upstreamOf,
} from './state.ts';

const peer = (id: string): PeerRef => ({ id, incarnation: null, pgUrl: 'postgresql://h:1', sitterUrl: 'http://h:2' });
const state: ClusterState = {
  v: 2,
  seq: 3,
  generation: 2,
  primary: peer('p'),
  sync: peer('s'),
  async: [peer('a'), peer('b')],
  deposed: [{ ...peer('d'), sinceGeneration: 2, forkTimeline: 1, forkWal: '0/1' }],
  initWal: '0/1',
  initTimeline: 1,
  timeline: 2,
  systemId: '1',
  pgMajor: 18,
  cause: 'takeover',
  writer: 'p',
};

it('everybody has one role', () => {
  const roles = ['p', 's', 'a', 'b', 'd', 'x'].map(id => roleOf(state, id));
  expect(roles).toEqual(['primary', 'sync', 'async', 'async', 'deposed', 'none']);
});

it('WAL flows down the chain', () => {
  expect(chainOf(state).map(({ id }) => id)).toEqual(['p', 's', 'a', 'b']);
  expect(['p', 's', 'a', 'b', 'd'].map(id => upstreamOf(state, id)?.id)).toEqual([undefined, 'p', 's', 'a', undefined]);
  expect(['p', 's', 'a', 'b', 'd'].map(id => downstreamOf(state, id)?.id)).toEqual([
    's',
    'a',
    'b',
    undefined,
    undefined,
  ]);
});

it('without a sync the asyncs follow the primary', () => {
  expect(upstreamOf({ ...state, sync: null }, 'a')?.id).toBe('p');
});

it('fields of later versions survive a rewrite', () => {
  const later = { ...state, later: 1, primary: { ...state.primary, later: 2 } };
  expect(clusterStateSchema.parse(JSON.parse(JSON.stringify(later)))).toEqual(later);
});
