import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { Action, ActionOf } from '../action.ts';
import { asPrimary } from '../facts.ts';
import type { Ports } from '../ports.ts';
import { nextOfHandover } from '../rules/finish-handover.ts';
import type { Snapshot } from '../snapshot.ts';
import { stateOf } from './commit.ts';
import { putInForce } from './in-force.ts';

const POLL_MS = 5;
const CLOSE_MS = 500;

/** Settings := these, in force. */
export function configure(ports: Ports, _: Snapshot, action: ActionOf<'configure' | 'restore-receiver' | 'join-sync'>) {
  return putInForce(ports, action.settings);
}

/** Nobody comes in, and nobody stays (§11.5). */
export async function closeGate(ports: Ports, _: Snapshot, action: ActionOf<'close-gate'>): Promise<void> {
  const { server, logger } = ports;
  const { written } = await server.observe();
  if (written === undefined) return;
  logger.warn({ why: action.why }, 'gate closed');
  await server.writeSettings({ ...written, gate: 'closed', readOnly: true, dumps: false });
  await server.reload();
  await endClients(ports);
}

/** W4 (§7.6): transactions get a moment. The stop that follows at once ends everybody. */
export async function drainClients(
  ports: Ports,
  s: Snapshot,
  action: ActionOf<'drain-clients'>,
): Promise<Action | undefined> {
  const { server, store, pace } = ports;
  await server.writeSettings(action.settings);
  await server.reload();
  const began = pace.now();
  while (pace.now() - began < s.times.drainMs && (await server.openTransactions()) > 0) await pace.sleep(POLL_MS);
  return nextOfHandover({ ...s, etcd: store.view() }, true);
}

/** Twice, because a backend that was being forked at the reload may still have been let in. */
async function endClients({ server, pace }: Ports): Promise<void> {
  const began = pace.now();
  let quiet = 0;
  while (quiet < 2 && pace.now() - began < CLOSE_MS) {
    quiet = (await server.terminateClients()) === 0 ? quiet + 1 : 0;
    await pace.sleep(POLL_MS);
  }
}

/**
 * 7.8, steps 5 and 6: the databases that are missing, synchronously replicated like any write; one more proof that this
 * peer is still the primary; then read-only off and the gate open in one reload.
 */
export async function open(ports: Ports, s: Snapshot, action: ActionOf<'open'>): Promise<void> {
  const { server, store, pace, logger } = ports;
  // They wait for the sync like any write, which may be lost just then: the loop has to go on.
  const proof = store.refresh();
  proof.catch(() => {});
  const creation = server.createDatabases(action.settings.databases);
  const haveCome = await Promise.race([creation, pace.sleep(s.times.actionMs).then(() => undefined)]);
  if (haveCome === undefined) throw new MantaError('NotCaughtUp', 'the databases are not confirmed yet');
  const generation = s.etcd.state?.value.generation;
  // A proof from before they were made is old.
  const view = await (haveCome ? store.refresh() : proof);
  if (asPrimary({ ...s, etcd: view })?.generation !== generation) return;
  await putInForce(ports, action.settings);
  await server.tryLogin();
  logger.info({ generation: stateOf(store).generation }, 'gate open');
}
