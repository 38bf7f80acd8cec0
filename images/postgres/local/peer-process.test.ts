import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { eventually } from '../../../lib/eventually/eventually.ts';
import { createPeerProcess, type PeerProcess } from './peer-process.ts';
import { allProcesses } from './process-tree.ts';

/** Stands for a sitter: has a child that would outlive it, as PostgreSQL's processes would, and ends on SIGTERM. */
const SITTER = `
import { spawn } from 'node:child_process';
spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
process.on('SIGTERM', () => process.exit(0));
setInterval(() => {}, 1_000);
`;

/** Namespaces of processes are Linux's. */
const testHere = process.platform === 'linux' && process.getuid?.() === 0 ? test : test.skip;

describe('a peer as a process', () => {
  const dir = mkdtempSync(join(tmpdir(), 'manta-peer-'));
  const program = join(dir, 'sitter.mjs');
  const configFile = join(dir, 'config.json');
  writeFileSync(program, SITTER);
  const config = {
    id: 'pg-1-0',
    program: [process.execPath, program],
    configFile,
    lockFile: join(dir, 'lock'),
    logFile: join(dir, 'log'),
    downFile: join(dir, 'down'),
  };
  const deps = { logger: pino({ level: 'silent' }) };
  const peer = createPeerProcess(deps, config);
  const others: PeerProcess[] = [];

  afterAll(async () => {
    for (const each of [peer, ...others]) await each.killTree({ stayDown: true });
    rmSync(dir, { recursive: true, force: true });
  });

  const isUp = (each = peer) => each.parts().sitter !== undefined && each.parts().all.length > 3;
  const processes = () => allProcesses().filter(({ command }) => command.includes(configFile));

  testHere('takes everything with it when its sitter is killed, and comes back', async () => {
    peer.start();
    await eventually(() => isUp());
    const before = peer.parts();
    expect(peer.killSitter()).toBe(true);
    const isGone = (pid: number) => !allProcesses().some(info => info.pid === pid && info.command !== '');
    await eventually(() => before.all.every(isGone));
    await eventually(() => isUp());
    expect(peer.parts().sitter).not.toBe(before.sitter);
  });

  testHere('does not run twice on one volume', async () => {
    const double = createPeerProcess(deps, config);
    others.push(double);
    await eventually(() => isUp());
    double.start();
    await eventually(() => !double.isRunning);
    await double.killTree({ stayDown: true });
    expect(isUp()).toBe(true);
  });

  testHere('stands still, and ends on SIGTERM all the same', async () => {
    await eventually(() => isUp());
    const { sitter = 0 } = peer.parts();
    const state = () => readFileSync(`/proc/${sitter}/stat`, 'utf8').split(') ')[1]?.[0];
    peer.pause('whole');
    await eventually(() => state() === 'T');
    expect(await peer.terminate(5_000)).toBe(true);
    expect([peer.isRunning, processes()]).toEqual([false, []]);
  });

  testHere('stays down where a file says so, until that is gone', async () => {
    peer.start();
    await eventually(() => isUp());
    writeFileSync(config.downFile, '');
    await peer.killTree();
    expect(peer.isRunning).toBe(false);
    rmSync(config.downFile);
    await eventually(() => isUp());
  });
});
