import { ordinalOf, peerRecordSchema, requestSchemas, shardConfigSchema } from './records.ts';

it('the ordinal of a peer is the number at the end of its name', () => {
  expect(ordinalOf('pg-1-0')).toBe(0);
  expect(ordinalOf('pg-12-34')).toBe(34);
  expect(ordinalOf('stranger')).toBeNaN();
});

it('a configuration says what is not said otherwise', () => {
  expect(shardConfigSchema.parse({ peers: 3 })).toEqual({ peers: 3, failover: 'auto', databases: [], parameters: {} });
});

it.each([{}, { peers: 0 }, { peers: 1.5 }, { peers: 3, failover: 'maybe' }, { peers: 3, freeze: true }])(
  '%j is no configuration',
  value => {
    expect(shardConfigSchema.safeParse(value).success).toBe(false);
  },
);

it('data loss has to be accepted in so many words', () => {
  const request = { id: 'r', generation: 1, by: 'op', peer: 'pg-1-2' };
  expect(requestSchemas['force-takeover'].safeParse(request).success).toBe(false);
  expect(requestSchemas['force-takeover'].safeParse({ ...request, acceptDataLoss: false }).success).toBe(false);
  expect(requestSchemas['force-takeover'].safeParse({ ...request, acceptDataLoss: true }).success).toBe(true);
});

describe('a peer record', () => {
  const record = {
    id: 'pg-1-0',
    session: 's',
    incarnation: null,
    pgUrl: 'postgresql://h:1',
    sitterUrl: 'http://h:2',
    pgMajor: 18,
    status: 'active',
    statusGeneration: 1,
    systemId: null,
    timeline: null,
    walEnd: null,
    rewindable: true,
    health: 'ok',
    local: { maxGeneration: 1, maxSeq: 1, lastRole: 'none', lastTimeline: 0 },
  };

  it('is read, with what a later version adds', () => {
    expect(peerRecordSchema.parse({ ...record, later: 1 })).toEqual({ ...record, later: 1 });
  });

  it.each([
    { walEnd: 'here' },
    { handedOffAt: '0-5' },
    { pgUrl: 'h:1' },
    { sitterUrl: 'nowhere' },
    { status: 'new' },
    { health: 'fine' },
  ])('with %j is none: who decides by it must not fail at it', change => {
    expect(peerRecordSchema.safeParse({ ...record, ...change }).success).toBe(false);
  });
});
