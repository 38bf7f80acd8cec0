import { MantaError } from '../../../lib/errors/manta-error.ts';
import { sameNames } from '../facts.ts';
import type { Ports } from '../ports.ts';
import type { Sender, Settings } from '../server.ts';

const POLL_MS = 2;
/** A sender that has not followed by then is ended; its standby connects anew, under the new settings. */
const SENDER_PATIENCE_MS = 1_000;
const GIVE_UP_MS = 1_800;

/**
 * Settings := these, verified in force (replication.md §11.4): a new connection shows them, no line was refused, and every
 * sender whose name matters before or after shows the priority that the new names give it, which it does only after it has
 * read the configuration itself. Throws MantaError `ConfigDrift` when that does not come true.
 */
export async function putInForce(ports: Ports, settings: Settings): Promise<void> {
  const { server } = ports;
  const before = (await server.observe()).written?.ssn ?? [];
  if (settings.role === 'standby')
    await server.writeReceiverPassword(settings.upstream === undefined ? 'empty' : 'current');
  await server.writeSettings(settings);
  await server.reload();
  await untilInForce(ports, settings, before);
}

/** Only the second half of `putInForce`: waits until settings that were written are in force. */
export async function untilInForce(ports: Ports, settings: Settings, before: readonly string[]): Promise<void> {
  const { server, pace } = ports;
  const began = pace.now();
  let isImpatient = false;
  for (;;) {
    const found = await server.inForce();
    const senders = settings.role === 'primary' ? await server.senders() : [];
    const late = senders.filter(sender => !hasFollowed(sender, settings.ssn, before));
    const isShown = sameNames(found.ssn, settings.ssn) && found.readOnly === settings.readOnly && found.errors === 0;
    if (isShown && late.length === 0) return;
    const elapsed = pace.now() - began;
    if (elapsed > GIVE_UP_MS) {
      throw new MantaError('ConfigDrift', `settings are not in force after ${Math.round(elapsed)} ms`);
    }
    if (elapsed > SENDER_PATIENCE_MS && !isImpatient) {
      isImpatient = true;
      for (const sender of late) await server.terminate(sender.pid);
    }
    await pace.sleep(POLL_MS);
  }
}

function hasFollowed(sender: Sender, names: readonly string[], before: readonly string[]): boolean {
  if (!names.includes(sender.name) && !before.includes(sender.name)) return true;
  return sender.priority === names.indexOf(sender.name) + 1;
}
