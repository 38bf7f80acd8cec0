import type { Action } from '../action.ts';
import type { Peer } from './peer.ts';
import type { Random } from './random.ts';
import type { Life } from './scheduler.ts';
import { keys, type World } from './world.ts';

/** Whom a fault is about: by the role in the newest state at that moment, or by number. */
export type Whom = 'primary' | 'sync' | 'async' | 'tail' | number;

/** When: so long after the shard has opened, or so long after somebody decided on an action of this kind. */
export type When = { readonly at: number } | { readonly after: Action['kind']; readonly delayMs: number };

export type Fault = { readonly when: When; readonly ms: number } & (
  | {
      readonly kind:
        | 'crash'
        | 'crash-postgres'
        | 'orphan-postgres'
        | 'vanish'
        | 'isolate'
        | 'cut-etcd'
        | 'pause-sitter'
        | 'pause-server'
        | 'pause-both'
        | 'freeze-startup'
        | 'freeze-postmaster'
        | 'freeze-senders'
        | 'freeze-receivers'
        | 'sigterm'
        | 'lose-volume'
        | 'restore-copy'
        | 'drop-replication'
        | 'fill-disk'
        | 'slow-replay'
        | 'slow-network';
      readonly whom: Whom;
    }
  | { readonly kind: 'partition'; readonly whom: Whom; readonly from: Whom; readonly isOneWay: boolean }
  | { readonly kind: 'swap-addresses'; readonly whom: Whom; readonly from: Whom }
  | {
      readonly kind:
        | 'etcd-leader'
        | 'etcd-down'
        | 'etcd-lossy'
        | 'etcd-late'
        | 'etcd-slow'
        | 'etcd-restore'
        | 'freeze-shard';
    }
  | { readonly kind: 'switchover' }
  | { readonly kind: 'force-takeover' | 'state-repair'; readonly whom: Whom }
  | { readonly kind: 'rebuild'; readonly whom: Whom }
);

export type FaultKind = Fault['kind'];

/** A fault in a line of a trace. */
export function describeFault(fault: Fault): string {
  const when =
    'at' in fault.when
      ? `at ${Math.round(fault.when.at)}`
      : `${Math.round(fault.when.delayMs)} ms after ${fault.when.after}`;
  const whom = 'whom' in fault ? ` ${fault.whom}` : '';
  const from = 'from' in fault ? `/${fault.from}` : '';
  return `${fault.kind}${whom}${from} ${when} for ${Math.round(fault.ms)} ms`;
}

/** Lets a fault happen now, and end by itself. */
export function inflict(world: World, fault: Fault, random: Random): void {
  const peer = 'whom' in fault ? resolve(world, fault.whom) : undefined;
  world.note(peer?.id ?? '', `FAULT ${describeFault(fault)}`);
  const end = peer === undefined ? inflictShard(world, fault, random) : inflictPeer(world, fault, peer);
  if (end !== undefined) {
    world.scheduler.after(fault.ms, () => {
      world.note(peer?.id ?? '', `end of ${fault.kind}`);
      end();
    });
  }
}

function resolve(world: World, whom: Whom): Peer | undefined {
  const { state, peers } = world;
  if (typeof whom === 'number') return peers[whom % peers.length];
  const roles = { primary: state?.primary, sync: state?.sync, async: state?.async[0], tail: state?.async.at(-1) };
  const id = roles[whom]?.id;
  return id === undefined ? undefined : world.peer(id);
}

function inflictShard(world: World, fault: Fault, random: Random): (() => void) | undefined {
  const { etcd } = world;
  switch (fault.kind) {
    case 'etcd-leader':
      etcd.changeLeader();
      return undefined;
    case 'etcd-down':
      etcd.stop();
      return () => etcd.start();
    case 'etcd-lossy':
      etcd.lossRate = random.between(0.1, 0.6);
      return () => {
        etcd.lossRate = 0;
      };
    case 'etcd-late':
      etcd.lateMs = random.between(350, 1_500);
      return () => {
        etcd.lateMs = 0;
      };
    case 'etcd-restore': {
      const snapshot = etcd.snapshot();
      return () => world.restoreEtcd(snapshot);
    }
    case 'etcd-slow':
      etcd.slownessMs = random.between(20, 600);
      return () => {
        etcd.slownessMs = 2;
      };
    case 'freeze-shard':
      world.writeConfig({ freeze: { at: '1970-01-01T00:00:00Z', by: 'operator', reason: 'a fault' } });
      return () => world.writeConfig({});
    case 'switchover':
      request(world, 'switchover', {});
      return undefined;
    default:
      return undefined;
  }
}

/** Bound to a lease, as the operator's are (§6.6). */
function request(world: World, kind: string, args: object): void {
  const { lease } = world.etcd.store.grantLease(30_000, world.scheduler.now);
  const value = JSON.stringify({
    id: `r${world.scheduler.now}`,
    generation: world.state?.generation ?? 0,
    by: 'operator',
    ...args,
  });
  world.etcd.store.commit({ compare: [], operations: [{ put: keys.request(kind), value, lease }] });
}

function inflictPeer(world: World, fault: Fault, peer: Peer): (() => void) | undefined {
  const { network } = world;
  const others = [...world.peers.map(({ id }) => id), 'etcd', 'client-1', 'client-2', 'client-3'].filter(
    id => id !== peer.id,
  );
  switch (fault.kind) {
    case 'crash':
      peer.crash();
      return () => peer.boot();
    case 'crash-postgres':
      peer.server?.crash(false);
      peer.sitter?.poke();
      return undefined;
    case 'orphan-postgres':
      peer.server?.crash(true);
      peer.sitter?.poke();
      return undefined;
    case 'vanish':
      cut(world, peer.id, others);
      peer.crash();
      return () => {
        join(world, peer.id, others);
        peer.boot();
      };
    case 'isolate':
      cut(world, peer.id, others);
      return () => join(world, peer.id, others);
    case 'cut-etcd':
      cut(world, peer.id, ['etcd']);
      return () => join(world, peer.id, ['etcd']);
    case 'partition': {
      const from = resolve(world, fault.from)?.id;
      if (from === undefined || from === peer.id) return undefined;
      network.block(peer.id, from);
      if (!fault.isOneWay) network.block(from, peer.id);
      return () => join(world, peer.id, [from]);
    }
    case 'pause-sitter':
      peer.pauseSitter();
      return () => peer.resumeSitter();
    case 'pause-server':
      return frozen(peer, instance => instance.everyLife());
    case 'pause-both': {
      peer.pauseSitter();
      const resume = frozen(peer, instance => instance.everyLife());
      return () => {
        peer.resumeSitter();
        resume();
      };
    }
    case 'freeze-startup':
      return frozen(peer, instance => [instance.startup]);
    case 'freeze-postmaster':
      return frozen(peer, instance => [instance.postmaster]);
    case 'freeze-senders':
      return frozen(peer, instance => [...instance.senders].map(({ life }) => life));
    case 'freeze-receivers':
      return frozen(peer, instance => [...instance.receivers].map(({ life }) => life));
    case 'sigterm':
      peer.sitter?.terminate();
      // The kubelet's patience.
      return undefined;
    case 'lose-volume':
      peer.loseVolume();
      return () => peer.boot();
    case 'restore-copy':
      peer.restoreCopy();
      return () => peer.boot();
    case 'drop-replication':
      for (const receiver of peer.server?.instance()?.receivers ?? []) receiver.disconnect();
      return undefined;
    case 'fill-disk':
      peer.volume.isFull = true;
      return () => {
        peer.volume.isFull = false;
      };
    case 'slow-replay':
      peer.pace.replayMs = 40;
      return () => {
        peer.pace.replayMs = 0;
      };
    case 'slow-network':
      network.slowDown(peer.id, 150);
      return () => network.slowDown(peer.id, 0);
    case 'swap-addresses':
      return swapAddresses(world, peer, resolve(world, fault.from));
    case 'force-takeover':
      world.writeConfig({ freeze: { at: '1970-01-01T00:00:00Z', by: 'operator', reason: 'to force a takeover' } });
      request(world, 'force-takeover', { peer: peer.id, acceptDataLoss: true });
      return () => world.writeConfig({});
    case 'state-repair':
      request(world, 'state-repair', { peer: peer.id, sync: world.state?.sync?.id });
      return undefined;
    case 'rebuild':
      request(world, 'rebuild', { peer: peer.id });
      return undefined;
    default:
      return undefined;
  }
}

function cut(world: World, id: string, others: readonly string[]): void {
  for (const other of others) {
    world.network.block(id, other);
    world.network.block(other, id);
  }
}

function join(world: World, id: string, others: readonly string[]): void {
  for (const other of others) {
    world.network.unblock(id, other);
    world.network.unblock(other, id);
  }
}

/** Stops some of the processes there are now; they may have ended by the time they are let go. */
function frozen(peer: Peer, choose: (instance: NonNullable<ReturnType<World['instanceAt']>>) => Iterable<Life>) {
  const instance = peer.server?.instance();
  const lives = instance === undefined ? [] : [...choose(instance)];
  for (const life of lives) life.pause();
  return () => {
    for (const life of lives) life.resume();
  };
}

/** Both pods are made anew, each with the address the other had. */
function swapAddresses(world: World, a: Peer, b: Peer | undefined): (() => void) | undefined {
  if (b === undefined || a === b) return undefined;
  a.crash();
  b.crash();
  for (const [address, peer] of [...world.addresses]) {
    if (peer === a.id) world.addresses.set(address, b.id);
    if (peer === b.id) world.addresses.set(address, a.id);
  }
  return () => {
    a.boot();
    b.boot();
  };
}
