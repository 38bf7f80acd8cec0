import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { ActionOf } from '../action.ts';
import { primarySettings, sameSettings, ssnOf } from '../facts.ts';
import type { Ports } from '../ports.ts';
import type { Snapshot } from '../snapshot.ts';
import { stateOf } from './commit.ts';
import { putInForce } from './in-force.ts';
import { saveHighWater } from './local.ts';

const POLL_MS = 5;
const PROMOTE_MS = 1_500;

/**
 * K5 to K7 (§7.5, §11.8): on the volume first, then the settings that make it harmless, then the promotion, which takes the
 * timeline that the state has reserved. Ends early, to be asked for again, while there is still WAL to replay.
 */
export async function promote(ports: Ports, s: Snapshot, action: ActionOf<'promote'>): Promise<void> {
  const { server, store, local, record, pace, logger } = ports;
  const { generation, timeline } = stateOf(store);
  const { promotedTimelines } = local.current();
  if (!promotedTimelines.some(past => past.generation === generation)) {
    await local.save({ promotedTimelines: [...promotedTimelines, { generation, timeline }] });
  }
  await saveHighWater(ports, s);
  if (record.rewindable) await record.set({ rewindable: false });
  const { written } = await server.observe();
  const isPromoted = !(await server.positions()).inRecovery;
  if (!isPromoted) {
    if (written === undefined || !sameSettings(written, action.settings)) await putInForce(ports, action.settings);
    await server.placePlaceholders(timeline);
    await server.promote();
  }
  const began = pace.now();
  let found = await server.positions();
  while (found.inRecovery) {
    if (pace.now() - began > PROMOTE_MS) return;
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
