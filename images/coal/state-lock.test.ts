import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockState } from './state-lock.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'manta-state-lock-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

describe('lockState', () => {
  it('is exclusive until it is released', () => {
    const first = lockState(dir);
    expect(first).toBeDefined();
    expect(lockState(dir)).toBeUndefined();
    first?.release();
    const second = lockState(dir);
    expect(second).toBeDefined();
    second?.release();
  });

  it('ends with the process that holds it, however that ends', async () => {
    const script = `
      import { lockState } from ${JSON.stringify(join(import.meta.dirname, 'state-lock.ts'))};
      const lock = lockState(${JSON.stringify(dir)});
      console.log(lock === undefined ? 'busy' : 'locked');
      setInterval(() => lock, 1000);`;
    const holder = spawn(process.execPath, ['--input-type=module', '--no-warnings', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(holder, 'exit');
    try {
      const [line] = await once(holder.stdout, 'data');
      expect(String(line)).toBe('locked\n');
      expect(lockState(dir)).toBeUndefined();
    } finally {
      holder.kill('SIGKILL');
      await ended;
    }
    const lock = lockState(dir);
    expect(lock).toBeDefined();
    lock?.release();
  });
});
