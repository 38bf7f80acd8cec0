import { MantaError } from '../../lib/errors/manta-error.ts';
import { shardWorkloadOf } from '../../lib/resources/names.ts';
import { type CommandContext, defineCommand, type Report } from '../command.ts';
import { findShard, shardName } from './find-shard.ts';
import { carryOutRequest } from './request.ts';

/** `shard switchover`: a planned change of primary. */
export const switchover = defineCommand({
  words: ['shard', 'switchover'],
  operands: ['N', '[PEER]'],
  options: { 'max-lag': { type: 'string', help: 'BYTES that the new primary may be behind; default: 16 MiB' } },
  help: 'makes the sync primary; PEER, if named, must be the sync',
  role: 'manta-operate',
  async run(context, [number = '', peer], values) {
    const { metadata, status } = await findShard(context, number);
    const named = peer === undefined ? [] : [peerName(metadata.name, peer)];
    const lag = values['max-lag'] === undefined ? [] : ['--max-lag', bytes(values['max-lag'])];
    const to = named[0] ?? status?.sync;
    await context.confirm(
      `${metadata.name}: ${to || 'the sync'} becomes primary in place of ${status?.primary ?? 'the one there is'}; writes pause for a moment.`,
    );
    return report(context, metadata.name, ['switchover', ...named, ...lag]);
  },
});

/** `shard rebuild`: a fresh copy of the database for one peer. */
export const rebuild = defineCommand({
  words: ['shard', 'rebuild'],
  operands: ['N', 'PEER'],
  options: { 'new-volume': { type: 'boolean', help: 'on new volumes' } },
  help: 'gives a peer a fresh base backup; not the primary',
  role: 'manta-operate',
  async run(context, [number = '', peer = ''], values) {
    const { metadata } = await findShard(context, number);
    const name = peerName(metadata.name, peer);
    const volume = values['new-volume'] ? ' and its volumes' : '';
    await context.confirm(
      `${metadata.name}: the data of ${name}${volume} are thrown away and copied from its upstream.`,
    );
    return report(context, metadata.name, ['rebuild', name, ...(values['new-volume'] ? ['--new-volume'] : [])]);
  },
});

/** `shard force-takeover`: a primary where the protocol has none left to choose. */
export const forceTakeover = defineCommand({
  words: ['shard', 'force-takeover'],
  operands: ['N', 'PEER'],
  options: { 'accept-data-loss': { type: 'boolean', help: 'needed: acknowledged writes may be lost' } },
  help: 'makes PEER primary of a frozen shard, whatever it lacks',
  role: 'manta-admin',
  async run(context, [number = '', peer = ''], values) {
    const { metadata, spec } = await findShard(context, number);
    const { name } = metadata;
    const target = peerName(name, peer);
    if (values['accept-data-loss'] !== true) {
      throw new MantaError('Usage', 'force-takeover may lose acknowledged writes: repeat with --accept-data-loss');
    }
    if (spec.freeze === undefined) {
      const how = `kubectl manta shard freeze ${name} --reason TEXT`;
      throw new MantaError('NotFrozen', `force-takeover is for a frozen shard, in which nothing else changes: ${how}`);
    }
    await context.confirm(`${name}: ${target} becomes primary. Writes that it has not received are lost.`, name);
    return report(context, name, ['force-takeover', target, '--accept-data-loss']);
  },
});

/** `shard state-repair`: the state in nameservice anew, from what the peers know. */
export const stateRepair = defineCommand({
  words: ['shard', 'state-repair'],
  operands: ['N'],
  options: { 'accept-data-loss': { type: 'boolean', help: 'also with a peer absent' } },
  help: 'rebuilds the state in nameservice from the peers’ own records after its loss',
  role: 'manta-admin',
  async run(context, [number = ''], values) {
    const { name } = (await findShard(context, number)).metadata;
    const loses = values['accept-data-loss'] === true;
    const risk = loses ? ' A peer may be absent: writes that only it has are lost.' : '';
    await context.confirm(
      `${name}: its state in nameservice is written anew from the peers’ own records.${risk}`,
      name,
    );
    return report(context, name, ['state-repair', ...(loses ? ['--accept-data-loss'] : [])]);
  },
});

async function report(context: CommandContext, shard: string, words: readonly string[]): Promise<Report> {
  const message = await carryOutRequest(context, shard, words);
  return { text: `${words[0]} done${message === '' ? '' : `: ${message}`}\n` };
}

/** `pg-3-1` of `pg-3-1` or `1`. Throws MantaError `Usage` for what is no peer of that shard. */
export function peerName(shard: string, text: string): string {
  const workload = shardWorkloadOf(shardName(shard));
  const name = /^\d+$/.test(text) ? `${workload}-${text}` : text;
  if (name.startsWith(`${workload}-`) && /-(0|[1-9]\d?)$/.test(name)) return name;
  throw new MantaError('Usage', `"${text}" is no peer of ${shard}: these are called ${workload}-0 and so on`);
}

function bytes(text: string): string {
  if (/^\d+$/.test(text)) return text;
  throw new MantaError('Usage', `--max-lag takes a number of bytes, not "${text}"`);
}
