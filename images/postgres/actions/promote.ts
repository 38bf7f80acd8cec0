import { MantaError } from '../../../lib/errors/manta-error.ts';
import { formatLsn, lsn, parseLsn } from '../../../lib/shard/lsn.ts';
import type { ClusterState } from '../../../lib/shard/state.ts';
import type { ActionOf } from '../action.ts';
import { PROMOTE_ATTEMPT_MS, primarySettings, sameNames, sameSettings, ssnOf } from '../facts.ts';
import type { Ports } from '../ports.ts';
import type { Positions, Settings } from '../server.ts';
import type { Snapshot } from '../snapshot.ts';
import { stateOf } from './commit.ts';
import { putInForce } from './in-force.ts';
import { highWaterIn } from './local.ts';

const POLL_MS = 5;

/**
 * K5 to K7 (§7.5, §11.8): on the volume first, then the settings that make it harmless, then the promotion, which takes the
 * timeline that the state has reserved. Ends early, to be asked for again, while there is still WAL to replay that the
 * generation begins with. Throws MantaError `PromotionSlow`, `TimelineMismatch`, `LostData`.
 */
export async function promote(ports: Ports, s: Snapshot, action: ActionOf<'promote'>): Promise<void> {
  const { server, store, record, pace, logger } = ports;
  const { generation, timeline } = stateOf(store);
  record.forbidRewind();
  const remembered = remember(ports, stateOf(store), s);
  remembered.catch(() => {});
  let found = await server.positions();
  if (found.inRecovery) {
    if (!(await holdsStart(ports, found))) return;
    const proof = action.isProved === true ? undefined : harmless(ports, action.settings);
    await Promise.all([remembered, proof, server.placePlaceholders(timeline)]);
    await server.promote();
  }
  await remembered;
  const began = pace.now();
  while (found.inRecovery) {
    if (pace.now() - began > PROMOTE_ATTEMPT_MS) {
      throw new MantaError('PromotionSlow', `still in recovery at ${formatLsn(found.replayed ?? lsn(0n))}`);
    }
    await pace.sleep(POLL_MS);
    found = await server.positions();
  }
  if (found.timeline !== timeline) {
    throw new MantaError('TimelineMismatch', `promoted to timeline ${found.timeline}, ${timeline} was reserved`);
  }
  const settings = primarySettings(s, { ssn: ssnOf(stateOf(store)), readOnly: true, gate: 'closed' });
  await server.writeSettings(settings);
  await server.reload();
  logger.info({ generation, timeline }, 'promoted');
}

/** On the volume: that this timeline is this peer's, and what the state is. */
export function remember({ local }: Ports, state: ClusterState, s: Snapshot): Promise<void> {
  const { generation, timeline } = state;
  const { promotedTimelines } = local.current();
  const isKnown = promotedTimelines.some(past => past.generation === generation);
  return local.save({
    highWater: highWaterIn(state, local.current().highWater, s),
    ...(isKnown ? {} : { promotedTimelines: [...promotedTimelines, { generation, timeline }] }),
  });
}

/**
 * A server that was started anew between K4 and here may have to replay up to initWal once more: false. One that cannot is
 * not what took over: throws MantaError `LostData`.
 */
async function holdsStart({ server, store }: Ports, found: Positions): Promise<boolean> {
  const initWal = parseLsn(stateOf(store).initWal);
  const replayed = found.replayed ?? lsn(0n);
  if (replayed >= initWal) return true;
  if (await server.hasRecordAt(found.timeline, replayed)) return false;
  throw new MantaError('LostData', `all that is there ends at ${formatLsn(replayed)}, before ${formatLsn(initWal)}`);
}

/** The gate closed, read-only, and the new sync named: in force, not only written once (K5). */
export async function harmless(ports: Ports, settings: Settings): Promise<void> {
  const { written } = await ports.server.observe();
  if (written === undefined || !sameSettings(written, settings)) return putInForce(ports, settings);
  const found = await ports.server.inForce();
  const isShown = sameNames(found.ssn, settings.ssn) && found.readOnly && found.errors === 0;
  if (!isShown) await putInForce(ports, settings);
}
