import { setTimeout as sleep } from 'node:timers/promises';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { type Shard, shards } from '../../lib/resources/types.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { findShard } from './find-shard.ts';

const CONFIRMED_WITHIN_MS = 45_000;
const POLL_MS = 500;

/** `shard freeze`: no role changes until `unfreeze`. */
export const freeze = defineCommand({
  words: ['shard', 'freeze'],
  operands: ['N'],
  options: { reason: { type: 'string', help: 'TEXT for the next person; needed' } },
  help: 'no role changes, not even a takeover, until unfreeze',
  role: 'manta-operate',
  async run(context, [number = ''], { reason = '' }) {
    if (reason.trim() === '') throw new MantaError('Usage', 'freeze needs --reason TEXT');
    const { name } = (await findShard(context, number)).metadata;
    await context.confirm(`${name}: if its primary fails, nobody takes over until it is unfrozen.`);
    await setFreeze(context, name, { reason });
    return { text: `${name} frozen: ${reason}\n` };
  },
});

/** `shard unfreeze`: roles change again as they have to. */
export const unfreeze = defineCommand({
  words: ['shard', 'unfreeze'],
  operands: ['N'],
  options: {},
  help: 'lets roles change again',
  role: 'manta-operate',
  async run(context, [number = '']) {
    const { metadata, spec } = await findShard(context, number);
    const why = spec.freeze === undefined ? '' : `, which was frozen: ${spec.freeze.reason}`;
    await context.confirm(`${metadata.name}: roles change again${why}.`);
    await setFreeze(context, metadata.name, null);
    return { text: `${metadata.name} not frozen\n` };
  },
});

/** Waits until the operator says so: until then the peers may not know. */
async function setFreeze(context: CommandContext, name: string, freeze: Shard['spec']['freeze'] | null): Promise<void> {
  const { kubernetes, namespace, clock, signal } = context;
  const patched = await kubernetes.patch(
    shards,
    { namespace, name },
    { type: 'merge', body: { spec: { freeze } } },
    { signal },
  );
  const until = clock.monotonic() + CONFIRMED_WITHIN_MS;
  for (;;) {
    const frozen = (await findShard(context, name)).status?.conditions?.find(({ type }) => type === 'Frozen');
    const isSeen = (frozen?.observedGeneration ?? 0) >= (patched.metadata.generation ?? 0);
    if (isSeen && frozen?.status === (freeze === null ? 'False' : 'True')) return;
    if (clock.monotonic() > until) {
      throw new MantaError(
        'NotObserved',
        `spec.freeze is ${freeze === null ? 'gone' : 'set'}, but the operator has not said so to the peers: kubectl logs deployment/manta-operator`,
      );
    }
    await sleep(POLL_MS, undefined, { signal });
  }
}
