import type { Command } from './command.ts';
import { shardHistory } from './shard/history.ts';
import { shardStatusCommand } from './shard/status.ts';
import { cn } from './show/cn.ts';
import { show } from './show/show.ts';

/** All commands, as help lists them. */
export const commands: readonly Command[] = [show, cn, shardStatusCommand, shardHistory];

/** Of these the ones that a name preselects by which the program is called: operations.md §0.1. */
export function commandsFor(calledAs: string): readonly Command[] {
  return calledAs === 'manta-adm' ? [show, cn] : commands;
}
