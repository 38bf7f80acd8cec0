import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { endsWithParent } from '../../lib/lifecycle/ends-with-parent.ts';
import type { TestOperatorConfig } from '../../operator/runtime/testing-operator.ts';

/** The runtime's test operator as a process of its own, so that its memory is its own. */
export interface OperatorProcess {
  /** Of its control port. */
  readonly url: string;
  /** Resident memory now, and the most there ever was, in MB. */
  memory(): { readonly now: number; readonly most: number };
  /** The sum of a metric's values whose labels contain all of `labels`. */
  metric(name: string, labels?: string): Promise<number>;
  stop(): Promise<void>;
}

/** Fills a compile cache, as the build of an image does. */
export function compileOperator(compileCache: string): void {
  const module = join(import.meta.dirname, '../../operator/runtime/testing-operator.ts');
  spawnSync(process.execPath, ['--input-type=module', '--eval', `await import('${module}')`], {
    env: { ...process.env, NODE_COMPILE_CACHE: compileCache },
  });
}

const MAIN = join(import.meta.dirname, '../../operator/runtime/testing-operator-main.ts');

/** Resolves when its control port listens. */
export async function launchOperator(
  config: TestOperatorConfig,
  options: {
    readonly nodeFlags: readonly string[];
    /** For compiled code, as an image has it ready: without it the process carries the stripper of types along. */
    readonly compileCache: string;
  },
): Promise<OperatorProcess> {
  const { nodeFlags, compileCache } = options;
  const command = [...endsWithParent(), process.execPath, ...nodeFlags, MAIN, JSON.stringify(config)];
  const [program = '', ...args] = command;
  const env = { ...process.env, NODE_COMPILE_CACHE: compileCache };
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  const exited = once(child, 'exit');
  const url = await new Promise<string>((resolve, reject) => {
    exited.then(([code]) => reject(new Error(`the operator ended with ${code}`)));
    createInterface(child.stdout).on('line', line => {
      const record = JSON.parse(line);
      if (record.level >= 40) console.error(line);
      if (record.msg === 'listening') resolve(record.url);
    });
  });
  return {
    url,
    memory: () => memoryOf(child),
    async metric(name, labels = '') {
      const text = await (await fetch(`${url}/metrics`)).text();
      const lines = text.split('\n').filter(line => line.startsWith(`${name}{`) && line.includes(labels));
      return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    },
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

function memoryOf({ pid }: ChildProcess): { now: number; most: number } {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = (field: string) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(text)?.[1]) / 1_024;
  return { now: megabytes('VmRSS'), most: megabytes('VmHWM') };
}
