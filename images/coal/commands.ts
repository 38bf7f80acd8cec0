import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import type { AccountDetails, Key } from '../../lib/auth/admin-answers.ts';
import { codeOf, MantaError } from '../../lib/errors/manta-error.ts';
import { readPublicKeyFile } from './admin-account.ts';
import type { AdminClient } from './admin-client.ts';
import { resolvePath } from './config.ts';

/** What `npm run coal -- --help` prints. */
export const usage = `Manages the accounts of the region that runs on this machine.

  npm run coal -- <command> [options]

  account create <login> --key <file.pub> [--operator] [--email <address>]
  account list
  account show <login>
  account key add <login> --key <file.pub> [--name <name>]
  account key remove <login> <name>

  --key <file.pub>    a public key: RSA (2048 bits or more), ECDSA or Ed25519, as ssh-keygen writes it
  --operator          may see and change everything
  --email <address>   shown to operators, used for nothing
  --name <name>       of the key; default: the file's name without .pub
  --dir <directory>   state directory of the region (./.coal)
  --help              this text
`;

const options = {
  key: { type: 'string' },
  operator: { type: 'boolean' },
  email: { type: 'string' },
  name: { type: 'string' },
  dir: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;
type Options = ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>['values'];

/** A command line that has been understood. */
export interface Command {
  /** State directory, absolute. */
  readonly dir: string;
  /** Does it and returns what to print. */
  run(admin: AdminClient): Promise<string>;
}

interface Verb {
  readonly words: readonly string[];
  /** Names of what follows the words. */
  readonly operands: readonly string[];
  readonly options: readonly (keyof typeof options)[];
  run(admin: AdminClient, operands: readonly string[], values: Options, baseDir: string): Promise<string>;
}

const verbs: readonly Verb[] = [
  {
    words: ['account', 'create'],
    operands: ['login'],
    options: ['key', 'operator', 'email'],
    run: (admin, [login = ''], values, baseDir) => createAccount(admin, login, values, baseDir),
  },
  { words: ['account', 'list'], operands: [], options: [], run: listAccounts },
  {
    words: ['account', 'show'],
    operands: ['login'],
    options: [],
    run: async (admin, [login = '']) => describe(await find(admin, login)),
  },
  {
    words: ['account', 'key', 'add'],
    operands: ['login'],
    options: ['key', 'name'],
    run: (admin, [login = ''], values, baseDir) => addKey(admin, login, values, baseDir),
  },
  {
    words: ['account', 'key', 'remove'],
    operands: ['login', 'name'],
    options: [],
    run: (admin, [login = '', name = '']) => removeKey(admin, login, name),
  },
];

/**
 * Understands a command line; `undefined` when it asks for help. Relative paths start at `baseDir`. Throws MantaError
 * `Usage` with a message for people.
 */
export function parseCommand(args: readonly string[], baseDir: string): Command | undefined {
  const { values, positionals } = parse(args);
  if (values.help || args.length === 0) return undefined;
  const verb = verbs.find(({ words }) => words.every((word, i) => positionals[i] === word));
  if (verb === undefined) {
    const isBegun = verbs.some(({ words }) => positionals.every((word, i) => words[i] === word));
    const what = isBegun ? 'the command goes on after' : 'there is no command';
    throw usageError(`${what} "${positionals.join(' ')}"`);
  }
  const name = verb.words.join(' ');
  const operands = positionals.slice(verb.words.length);
  if (operands.length !== verb.operands.length) {
    throw usageError(`${name} takes ${verb.operands.map(word => `<${word}>`).join(' ') || 'nothing more'}`);
  }
  for (const option of Object.keys(values) as (keyof typeof options)[]) {
    if (option !== 'dir' && !verb.options.includes(option)) throw usageError(`${name} does not take --${option}`);
  }
  if (verb.options.includes('key') && values.key === undefined) throw usageError(`${name} needs --key <file.pub>`);
  return {
    dir: resolvePath(baseDir, values.dir ?? '.coal'),
    run: admin => verb.run(admin, operands, values, baseDir),
  };
}

/** An account that has keys is somebody's: a new key would be a way into it. One without is what a failed run left. */
async function createAccount(admin: AdminClient, login: string, values: Options, baseDir: string): Promise<string> {
  const file = resolvePath(baseDir, values.key ?? '');
  const text = readPublicKeyFile(file);
  const known = await admin.get(login);
  if (known !== undefined && known.keys.length > 0) {
    throw new MantaError('AccountExists', `account ${login} exists; another key for it: account key add ${login}`);
  }
  const email = values.email ?? known?.email ?? 'nobody@example.com';
  await admin.put(login, { email, approved: true, groups: values.operator ? ['operators'] : [] });
  const key = await admin.putKey(login, keyName(file, values), text);
  return `account ${login} created\n${howToUse(login, key)}`;
}

async function addKey(admin: AdminClient, login: string, values: Options, baseDir: string): Promise<string> {
  const file = resolvePath(baseDir, values.key ?? '');
  const text = readPublicKeyFile(file);
  await find(admin, login);
  const key = await admin.putKey(login, keyName(file, values), text);
  return `key ${key.name} added to account ${login}\n${howToUse(login, key)}`;
}

async function removeKey(admin: AdminClient, login: string, name: string): Promise<string> {
  const { keys } = await find(admin, login);
  if (!keys.some(key => key.name === name)) {
    const names = keys.map(key => key.name).join(', ') || 'none';
    throw new MantaError('KeyDoesNotExist', `account ${login} has no key ${name}; it has: ${names}`);
  }
  await admin.deleteKey(login, name);
  return `key ${name} removed from account ${login}\n`;
}

async function listAccounts(admin: AdminClient): Promise<string> {
  const accounts = await admin.list();
  return accounts
    .map(({ login, uuid, approved, groups }) => {
      const notes = [...groups, ...(approved ? [] : ['blocked'])].join(', ');
      return `${login.padEnd(32)} ${uuid}  ${notes}`.trimEnd();
    })
    .join('\n')
    .concat('\n');
}

async function find(admin: AdminClient, login: string): Promise<AccountDetails> {
  const account = await admin.get(login);
  if (account === undefined) throw new MantaError('AccountDoesNotExist', `there is no account ${login}`);
  return account;
}

function describe({ login, uuid, email, approved, groups, keys }: AccountDetails): string {
  const lines = [
    ['login', login],
    ['uuid', uuid],
    ['email', email],
    ['approved', approved ? 'yes' : 'no'],
    ['groups', groups.join(', ') || '-'],
    ...keys.map(key => ['key', `${key.md5Fingerprint}  ${key.algorithm}  ${key.name}`]),
  ];
  return lines.map(([name = '', value = '']) => `${name.padEnd(9)} ${value}\n`).join('');
}

function howToUse(login: string, { md5Fingerprint }: Key): string {
  return `  export MANTA_USER=${login} MANTA_KEY_ID=${md5Fingerprint}\n`;
}

function keyName(file: string, { name }: Options): string {
  return name ?? basename(file).replace(/\.pub$/, '');
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (cause) {
    if (!codeOf(cause)?.startsWith('ERR_PARSE_ARGS')) throw cause;
    throw usageError((cause as Error).message.split('. To specify')[0] ?? '');
  }
}

function usageError(message: string): MantaError {
  return new MantaError('Usage', message);
}
