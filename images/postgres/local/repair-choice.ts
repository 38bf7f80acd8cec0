import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { PeerRecord } from '../../../lib/shard/records.ts';

/** Who is to write the state anew, and with whom. */
export interface RepairChoice {
  readonly peer: string;
  readonly sync?: string;
}

/**
 * Whom `state-repair` names (replication.md §13): the last primary of the highest generation that the peers' volumes
 * remember, else the last sync of it; the other of the two as sync, if it is there. Throws MantaError `NotEligible` when
 * nobody remembers either, and, unless loss is accepted, when a configured peer is absent: a sync may have acknowledged
 * for a newer primary before its own volume said so.
 */
export function chooseRepair(
  records: readonly PeerRecord[],
  configured: readonly string[],
  acceptDataLoss: boolean,
): RepairChoice {
  const absent = configured.filter(id => !records.some(record => record.id === id));
  if (absent.length > 0 && !acceptDataLoss) {
    throw new MantaError(
      'NotEligible',
      `${absent.join(', ')} is not registered and may remember a newer primary: start it, or repeat with --accept-data-loss`,
    );
  }
  const highest = Math.max(0, ...records.map(({ local }) => local.maxGeneration));
  const of = (role: string) =>
    records.find(({ local }) => local.maxGeneration === highest && local.lastRole === role)?.id;
  const [primary, sync] = [of('primary'), of('sync')];
  const peer = primary ?? sync;
  if (peer === undefined) throw new MantaError('NotEligible', 'no peer that is there remembers being primary or sync');
  return { peer, ...(primary !== undefined && sync !== undefined ? { sync } : {}) };
}
