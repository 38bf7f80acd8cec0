import { join, relative } from 'node:path';
import type { Coal } from './coal.ts';

/**
 * What the terminal shows when the region is ready: endpoint, account, key, three commands to try, and
 * how to look at the shard. metadata.md §17.
 */
export function banner(
  { environment, shardDir }: Pick<Coal, 'environment' | 'shardDir'>,
  dir: string,
  baseDir: string,
): string {
  const show = (path: string) => quoteForShell(shorter(relative(baseDir, path), path));
  const key = environment.agentSocket === undefined ? 'your own' : show(join(dir, 'keys', 'id_rsa'));
  const run = (command: string) => `  npm run shard -- ${command} --dir ${show(shardDir ?? '')}\n`;
  const shard =
    shardDir === undefined
      ? ''
      : `\nIts databases are on a shard in ${show(shardDir)}:\n\n${['status', 'switchover', 'history'].map(run).join('')}`;
  return `
The region is ready.

  endpoint   ${environment.url}
  account    ${environment.account}
  key        ${environment.keyId} (${key})

Try it in another shell:

  . ${show(join(dir, 'env'))}
  echo hello | mput ~~/stor/hello.txt
  mls -l ~~/stor
  mget ~~/stor/hello.txt
${shard}
Ctrl-C stops it; what it stores stays in ${show(dir)}.
`;
}

/** A relative path is shown where it stays below; `.` of a shell wants a slash in it. */
function shorter(below: string, absolute: string): string {
  return below.startsWith('..') || below === '' ? absolute : `./${below}`;
}

function quoteForShell(path: string): string {
  return /^[\w./@%+=:,-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
