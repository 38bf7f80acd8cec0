import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { codeOf, MantaError } from '../../lib/errors/manta-error.ts';

/** Everything a region on one machine can be told. Unknown keys fail. */
export const coalConfigSchema = z.strictObject({
  /** State directory, absolute. */
  dir: z.string().min(1),
  /** Port of the public API on 127.0.0.1; 0 takes a free one. */
  port: z.int().min(0).max(65_535).default(8080),
  /** Public key of the account `admin`, a file in OpenSSH form, absolute; absent: a pair is generated. */
  keyFile: z.string().min(1).optional(),
  /** Peers of the shard that the databases are on; absent: one PostgreSQL server that replicates nothing. */
  shardPeers: z.literal([1, 3, 5]).optional(),
  /** Bytes of the disk that objects leave free. */
  floorBytes: z
    .int()
    .nonnegative()
    .default(256 * 1_048_576),
  /** Milliseconds running requests have when the region stops. */
  drainMs: z.int().positive().default(30_000),
});
/** The checked configuration. */
export type CoalConfig = z.infer<typeof coalConfigSchema>;

/** What `npm start -- --help` prints. */
export const usage = `Runs a Manta region on this machine until Ctrl-C.

  npm start -- [options]

  --dir <directory>   where its state is kept              (./.coal)
  --port <number>     port of the API on 127.0.0.1         (8080; 0: any free one)
  --key <file.pub>    your public key for the account      (generated in <directory>/keys)
                      "admin", instead of a generated one
  --shard-peers <n>   databases on a shard of 1, 3     (one server that comes along)
                      or 5 PostgreSQL servers that
                      replicate; needs PostgreSQL 15
                      or newer, and etcd or Go
  --help              this text
`;

/**
 * Reads the command line; `undefined` when it asks for help. Relative paths start at `baseDir`. Throws MantaError
 * `Usage` with a message for people.
 */
export function parseCommandLine(args: readonly string[], baseDir: string): CoalConfig | undefined {
  const { dir, port, key, 'shard-peers': peers, help } = parse(args);
  if (help) return undefined;
  const checked = coalConfigSchema.safeParse({
    dir: resolvePath(baseDir, dir ?? '.coal'),
    ...(port === undefined ? {} : { port: numberIn(port) }),
    ...(peers === undefined ? {} : { shardPeers: numberIn(peers) }),
    ...(key === undefined ? {} : { keyFile: resolvePath(baseDir, key) }),
  });
  if (checked.success) return checked.data;
  const field = String(checked.error.issues[0]?.path[0]);
  throw new MantaError('Usage', COMPLAINTS[field] ?? `--${field} is empty`);
}

const COMPLAINTS: Readonly<Record<string, string>> = {
  port: '--port must be a number from 0 to 65535',
  shardPeers: '--shard-peers must be 1, 3 or 5',
  keyFile: '--key is empty',
};

function numberIn(text: string): number {
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}

/**
 * An absolute path; `~/` is the home directory even where the shell left it alone, as in `--key=~/.ssh/id.pub`. Nothing
 * stays nothing: an unset variable must not become the directory that the user happens to be in.
 */
export function resolvePath(baseDir: string, path: string): string {
  if (path === '') return '';
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : resolve(baseDir, path);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        dir: { type: 'string' },
        port: { type: 'string' },
        key: { type: 'string' },
        'shard-peers': { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (cause) {
    if (!codeOf(cause)?.startsWith('ERR_PARSE_ARGS')) throw cause;
    throw new MantaError('Usage', (cause as Error).message.split('. To specify')[0] ?? '', { cause });
  }
}
