import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import pino from 'pino';
import { type EtcdCluster, startEtcdCluster } from '../etcd-process/etcd-cluster.ts';
import { eventually } from '../eventually/eventually.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { type ContractWorld, describeCoordinator } from './contract.ts';
import type { Coordinator } from './coordinator.ts';
import { createEtcdCoordinator } from './etcd.ts';
import { createMemoryCoordinator, EXPIRY_LATE_MS, type MemoryCoordinator, type MemoryFault } from './memory.ts';
import { systemSleep } from './sleep.ts';
import { createStore } from './store.ts';
import { createFakeTime } from './testing.ts';

const logger = pino({ level: 'silent' });

describe('in memory', () => {
  let world: ContractWorld;
  let clients: MemoryCoordinator[];

  beforeEach(() => {
    const time = createFakeTime();
    const store = createStore();
    time.onStep(now => store.expire(now - EXPIRY_LATE_MS));
    clients = [];
    let fault: MemoryFault = 'none';
    world = {
      async client() {
        const client = createMemoryCoordinator({ store, clock: time.clock, sleep: time.sleep });
        client.faults.befall = () => fault;
        clients.push(client);
        return client;
      },
      async run(promise) {
        let isOver = false;
        const over = () => {
          isOver = true;
        };
        promise.then(over, over);
        for (let steps = 0; !isOver && steps < 1_000; steps += 1) await time.pass(10);
        return promise;
      },
      pass: time.pass,
      async until(check, withinMs) {
        for (let passed = 0; !check(); passed += 10) {
          if (passed > withinMs) throw new Error(`it did not come true within ${withinMs} ms`);
          await time.pass(10);
        }
      },
      clock: time.clock,
      sleep: time.sleep,
      async refuse() {
        fault = 'refused';
        for (const client of clients) client.faults.reconnect();
      },
      async silence() {
        fault = 'request-lost';
      },
      async recover() {
        fault = 'none';
        for (const client of clients) client.faults.reconnect();
      },
    };
  });
  afterEach(async () => {
    for (const client of clients) await client.close();
  });

  describeCoordinator('memory', () => world);
});

describe('with a process', () => {
  let cluster: EtcdCluster;
  let dir: string;
  let clients: Coordinator[] = [];

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'manta-coordinator-'));
    cluster = await startEtcdCluster({ logger }, { members: 1, dir, unsafeNoFsync: true });
  }, 600_000);
  afterEach(async () => {
    for (const client of clients) await client.close();
    clients = [];
  });
  afterAll(async () => {
    await cluster?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const world: ContractWorld = {
    async client() {
      // A busy machine is no reason to fail: the deadline is not what is tried here.
      const config = { endpoints: cluster.endpoints, deadlineMs: 1_000 };
      const client = createEtcdCoordinator({ logger, clock: systemClock }, config);
      clients.push(client);
      await eventually(() => client.read('/contract/'));
      return client;
    },
    run: promise => promise,
    pass: ms => setTimeout(ms),
    until: (check, withinMs) => eventually(check, withinMs),
    clock: systemClock,
    sleep: systemSleep,
    async refuse() {
      await cluster.members[0]?.kill();
      // Now, and not in a moment, the clients know that their connections are gone.
      for (const client of clients)
        await eventually(() =>
          client.read('/contract/').then(
            () => false,
            () => true,
          ),
        );
    },
    silence: async () => cluster.members[0]?.pause(),
    async recover() {
      cluster.members[0]?.resume();
      await cluster.members[0]?.start();
      for (const client of clients) await eventually(() => client.read('/contract/'));
    },
  };

  describeCoordinator('etcd', () => world);
});
