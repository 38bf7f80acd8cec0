import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockFileOf, requireVolumeLock } from './volume-lock.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'manta-lock-'));
  mkdirSync(join(dir, 'sitter'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const module = join(import.meta.dirname, 'volume-lock.ts');

function start(prefix: readonly string[], script: string) {
  const [program = '', ...rest] = [...prefix, process.execPath, '--input-type=module', '-e', script];
  return spawnSync(program, rest, { encoding: 'utf8', timeout: 20_000 });
}

const check = () => `
  import { requireVolumeLock } from ${JSON.stringify(module)};
  requireVolumeLock(${JSON.stringify(dir)});
`;

test('a process that was not started under the lock is refused', () => {
  expect(() => requireVolumeLock(dir)).toThrow(expect.objectContaining({ code: 'VolumeNotLocked' }));
});

test('one that was is let go on, and keeps everybody else out', () => {
  const flock = ['flock', '--nonblock', '--no-fork', lockFileOf(dir)];
  expect(start(flock, check())).toMatchObject({ status: 0, stderr: '' });
  const second = `${check()}
    import { spawnSync } from 'node:child_process';
    process.exit(spawnSync('flock', ${JSON.stringify([...flock.slice(1), 'true'])}).status === 1 ? 0 : 9);
  `;
  expect(start(flock, second).status).toBe(0);
});
