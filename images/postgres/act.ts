import type { Action, ActionOf } from './action.ts';
import { bootstrap, inheritBootstrap, recordSystem } from './actions/bootstrap.ts';
import { committed } from './actions/commit.ts';
import { closeGate, configure, drainClients, open } from './actions/configure.ts';
import { baseBackup, checkpoint, initialise, restore, rewind, start, stop } from './actions/jobs.ts';
import { discardDirectory, saveHighWater } from './actions/local.ts';
import { promote } from './actions/promote.ts';
import { forceTakeover, stateRepair } from './actions/repair.ts';
import { declareSync } from './actions/replace-sync.ts';
import { abdicate, answer, handOff, setStatus } from './actions/status.ts';
import { cutReceiver, takeOver } from './actions/take-over.ts';
import type { Ports } from './ports.ts';
import type { Snapshot } from './snapshot.ts';

/** May resolve with the action that follows at once, without another look. */
type Executor<Kind extends Action['kind']> = (
  ports: Ports,
  snapshot: Snapshot,
  action: ActionOf<Kind>,
) => Promise<Action | undefined> | Promise<void> | void;

/** Who executes what. */
export type Executors = { readonly [Kind in Action['kind']]: Executor<Kind> };

const nothing = () => {};

export const executors: Executors = {
  wait: nothing,
  // The sitter's loop ends on it.
  exit: nothing,
  settle: ({ store }) => store.settle(),
  'close-gate': closeGate,
  'abort-job': ({ jobs }) => jobs.abort(),
  configure,
  'restore-receiver': configure,
  'join-sync': configure,
  'set-status': setStatus,
  answer,
  bootstrap,
  'record-system': recordSystem,
  'inherit-bootstrap': inheritBootstrap,
  'declare-sync': declareSync,
  'cut-receiver': cutReceiver,
  'take-over': takeOver,
  promote,
  open,
  'drain-clients': drainClients,
  'hand-off': handOff,
  abdicate,
  'write-state': async ({ store }, _, { next }) => committed(store, await store.writeState(next)),
  'remove-old-incarnations': ({ server }) => server.removeOldIncarnations(),
  'save-local': saveHighWater,
  'discard-directory': discardDirectory,
  'force-takeover': forceTakeover,
  'state-repair': stateRepair,
  start,
  stop,
  initialise,
  restore,
  'base-backup': baseBackup,
  rewind,
  checkpoint,
};

/**
 * Executes an action. Resolves when it has ended, for a job: begun; with the action that follows at once, if one does.
 * Rejects with a MantaError when it failed; whatever it had done by then, the next snapshot shows.
 */
export async function act(
  ports: Ports,
  snapshot: Snapshot,
  action: Action,
  table: Executors = executors,
): Promise<Action | undefined> {
  const execute = table[action.kind] as Executor<Action['kind']>;
  return (await execute(ports, snapshot, action)) ?? undefined;
}
