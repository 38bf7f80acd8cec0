import {
  accountApprove,
  accountCreate,
  accountDisable,
  accountList,
  accountShow,
  keyAdd,
  keyRemove,
} from './account/accounts.ts';
import type { Command } from './command.ts';
import { alarms } from './health/alarms.ts';
import { status } from './health/status.ts';
import { freeze, unfreeze } from './shard/freeze.ts';
import { shardHistory } from './shard/history.ts';
import { forceTakeover, rebuild, stateRepair, switchover } from './shard/role-changes.ts';
import { shardStatusCommand } from './shard/status.ts';
import { cn } from './show/cn.ts';
import { show } from './show/show.ts';
import { storageEnable, storageList, storageReadonly } from './storage/storage.ts';

/** All commands, as help lists them. */
export const commands: readonly Command[] = [
  status,
  alarms,
  show,
  cn,
  shardStatusCommand,
  shardHistory,
  switchover,
  freeze,
  unfreeze,
  rebuild,
  forceTakeover,
  stateRepair,
  storageList,
  storageReadonly,
  storageEnable,
  accountList,
  accountShow,
  accountCreate,
  accountApprove,
  accountDisable,
  keyAdd,
  keyRemove,
];

/** Of these the ones that a name preselects by which the program is called: operations.md §0.1. */
export function commandsFor(calledAs: string): readonly Command[] {
  return calledAs === 'manta-adm' ? [show, cn] : commands;
}
