import { readFileSync } from 'node:fs';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';

const NOBODY = 65534;

/**
 * The names that this process, and programs run as the account, may have for a server that asks who is at the other end
 * of its socket. Under a user namespace root is seen as `nobody`.
 */
export function sitterUsers(account: ServerAccount, passwd = readFileSync('/etc/passwd', 'utf8')): string[] {
  const uids = new Set([process.getuid?.() ?? 0, account.wrapper.length > 0 ? NOBODY : (account.uid ?? -1)]);
  return passwd
    .split('\n')
    .map(line => line.split(':'))
    .filter(([name, , uid]) => name !== undefined && uid !== undefined && uids.has(Number(uid)))
    .map(([name = '']) => name);
}
