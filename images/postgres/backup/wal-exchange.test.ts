import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../../lib/eventually/eventually.ts';
import { createWalExchange, type FetchWal } from './wal-exchange.ts';

const dir = mkdtempSync(join(tmpdir(), 'manta-exchange-'));
const directory = join(dir, 'exchange');
const wanted = join(directory, 'segment.wanted');
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** As the start-up process runs it. */
function runCommand(command: string) {
  const child = spawn('sh', ['-c', command.replace('%f', 'segment').replace('%p', 'RECOVERYXLOG')], {
    stdio: 'ignore',
  });
  return once(child, 'exit').then(([status]) => status);
}

const exchangeOf = (fetch: FetchWal) => createWalExchange({ wrapper: [] }, directory, dir, fetch);

it.each([
  { answer: 'a file that is there', isThere: true, status: 0 },
  { answer: 'none', isThere: false, status: 1 },
])('restore_command: $answer is status $status', async ({ isThere, status }) => {
  const exchange = await exchangeOf(async (_, to) => {
    if (isThere) writeFileSync(to, 'wal');
    return isThere;
  });
  const served = new AbortController();
  const serving = exchange.serve(served.signal);
  expect(await runCommand(exchange.restoreCommand)).toBe(status);
  if (isThere) expect(readFileSync(join(dir, 'RECOVERYXLOG'), 'utf8')).toBe('wal');
  served.abort();
  await serving;
  await exchange.close();
});

it('restore_command: a failure of the target is beyond 125, which is not the end of the archive', async () => {
  const exchange = await exchangeOf(async () => {
    throw new Error('the target is away');
  });
  const serving = expect(exchange.serve(new AbortController().signal)).rejects.toThrow('away');
  expect(await runCommand(exchange.restoreCommand)).toBe(200);
  await serving;
  await exchange.close();
});

it('restore_command: one that waits ends when the exchange is closed, with no answer', async () => {
  const exchange = await exchangeOf(async () => true);
  const status = runCommand(exchange.restoreCommand);
  await eventually(() => existsSync(wanted));
  await exchange.close();
  expect(await status).toBe(200);
});
