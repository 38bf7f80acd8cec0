import { effectiveSpec } from './effective-spec.ts';
import { databasesOf } from './profile-defaults.ts';
import { aRegion, threeZones } from './testing.ts';

describe('what a region is, with the defaults of its profile', () => {
  it('dev is one of everything, but storage nodes enough for two copies and a drain', () => {
    const { services, nameservice, shardTemplate, storageTemplate, placement, storage } = effectiveSpec(aRegion());
    expect([services.webapi.replicas, services.loadbalancer.replicas, nameservice.members]).toEqual([1, 1, 1]);
    expect([shardTemplate.count, shardTemplate.peers, storageTemplate.perZone]).toEqual([1, 1, 3]);
    expect(placement).toEqual({
      strictness: 'Preferred',
      serviceNodeSelector: {},
      storageNodeSelector: {},
      tolerations: [],
    });
    expect([storage.multiZone, storage.maxStreamingSizeMB]).toEqual([false, 5_120]);
  });

  it('lab is redundant: two of each program, three members, three peers, a storage node in each zone', () => {
    const { services, nameservice, shardTemplate, storageTemplate, storage } = effectiveSpec(
      aRegion({ profile: 'lab', zones: threeZones }),
    );
    expect([services.webapi.replicas, services.loadbalancer.replicas, nameservice.members]).toEqual([2, 2, 3]);
    expect([shardTemplate.count, shardTemplate.peers, storageTemplate.perZone]).toEqual([2, 3, 1]);
    expect(storage.multiZone).toBe(true);
  });

  it('lab in one zone has three storage nodes there', () => {
    expect(effectiveSpec(aRegion({ profile: 'lab' })).storageTemplate.perZone).toBe(3);
  });

  it('production has two of each program in each zone, demands its placement, and makes no storage nodes', () => {
    const { services, placement, shardTemplate, storageTemplate, storage } = effectiveSpec(
      aRegion({ profile: 'production', zones: threeZones }),
    );
    expect([services.webapi.replicas, services.loadbalancer.replicas, shardTemplate.count]).toEqual([6, 6, 4]);
    expect(placement.strictness).toBe('Required');
    expect(placement.serviceNodeSelector).toEqual({ 'manta.io/node-role': 'service' });
    expect([storageTemplate.perZone, storage.maxStreamingSizeMB]).toEqual([0, 51_200]);
  });

  it('what the spec sets wins over the profile, an empty selector too', () => {
    const { services, placement, storage, nameservice } = effectiveSpec(
      aRegion({
        profile: 'production',
        zones: threeZones,
        services: { webapi: { replicas: 4, logLevel: 'debug' } },
        placement: { serviceNodeSelector: {} },
        nameservice: { members: 3, storage: { class: 'local-nvme', size: '8Gi' } },
        storage: { ...aRegion().spec.storage, multiZone: 'Never', maxStreamingSizeMB: 7 },
      }),
    );
    expect(services.webapi).toMatchObject({ replicas: 4, logLevel: 'debug' });
    expect([placement.serviceNodeSelector, placement.strictness]).toEqual([{}, 'Required']);
    expect([storage.multiZone, storage.maxStreamingSizeMB, nameservice.storage.class]).toEqual([
      false,
      7,
      'local-nvme',
    ]);
  });

  it('memory is requested by half in dev, in production wholly for databases and by a quarter for the rest', () => {
    const of = (profile: 'dev' | 'production') => effectiveSpec(aRegion({ profile })).services;
    expect(of('dev').webapi.resources).toEqual({
      requests: { cpu: '50m', memory: '384Mi' },
      limits: { memory: '768Mi' },
    });
    expect(of('production').postgres.resources.requests).toEqual({ cpu: '4', memory: '32768Mi' });
    expect(of('production').loadbalancer.resources).toEqual({
      requests: { cpu: '2', memory: '1024Mi' },
      limits: { memory: '4096Mi' },
    });
  });

  it('leaves the region alone', () => {
    const region = aRegion();
    effectiveSpec(region);
    expect(region).toEqual(aRegion());
  });
});

it.each([
  [1, 1, ['index', 'control', 'jobs', 'ops']],
  [1, 4, ['control', 'jobs', 'ops']],
  [2, 4, ['index']],
  [4, 4, ['index']],
])('shard %i of %i hosts %j', (number, count, databases) => {
  expect(databasesOf(number, count)).toEqual(databases);
});
