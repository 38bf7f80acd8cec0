import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/**
 * The one-way import rule of the house: programs import `lib`, never each other; only `coal` composes the others. The
 * operator runs the controllers, they stand on its runtime and may read a program's `config.ts`. Tests and the fault,
 * bench and end-to-end harnesses may start anything.
 */
const root = resolve(import.meta.dirname, '..');

function roomOf(file: string): string {
  const [top = '', second = ''] = file.split('/');
  if (top === 'operator' && second === 'runtime') return 'operator/runtime';
  return top === 'images' ? `images/${second}` : top;
}

function isAllowed(from: string, to: string, target: string): boolean {
  if (from === to || to === 'lib') return true;
  if (from === 'lib') return false;
  if (from === 'images/coal') return to.startsWith('images/');
  if (from === 'operator') return to === 'operator/runtime' || to === 'controllers';
  if (from === 'controllers') return to === 'operator/runtime' || /\/(program-)?config\.ts$/.test(target);
  return ['faults', 'bench', 'e2e', 'scripts'].includes(from);
}

const violations: string[] = [];
for (const file of globSync('{lib,images,operator,controllers,cli,faults,bench,e2e}/**/*.ts', { cwd: root })) {
  if (/\.test\.ts$|\/testing(-[a-z]+)?\.ts$|\/testing\//.test(file)) continue;
  const source = readFileSync(join(root, file), 'utf8');
  for (const match of source.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)) {
    const target = relative(root, resolve(root, dirname(file), match[1] as string));
    if (!isAllowed(roomOf(file), roomOf(target), target)) violations.push(`${file} must not import ${target}`);
  }
}
for (const violation of violations) console.error(violation);
process.exitCode = violations.length === 0 ? 0 : 1;
