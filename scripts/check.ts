import { spawnSync } from 'node:child_process';

/** `npm run check`: types, lint and format, the one-way import rule, generated files. Runs all, then fails if any did. */
const checks: ReadonlyArray<readonly [string, readonly string[]]> = [
  ['types', ['node_modules/typescript/bin/tsc', '-p', '.']],
  ['lint and format', ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.']],
  ['imports', ['scripts/imports.ts']],
  ['generated files', ['scripts/generate.ts', '--check']],
];

let failed = 0;
for (const [name, args] of checks) {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  console.log(`${name}: ${status === 0 ? 'ok' : 'FAILED'}`);
  if (status !== 0) failed += 1;
}
process.exitCode = failed === 0 ? 0 : 1;
