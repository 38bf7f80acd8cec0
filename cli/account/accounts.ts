import type { Account, AccountDetails, Key } from '../../lib/auth/admin-answers.ts';
import { codeOf, MantaError } from '../../lib/errors/manta-error.ts';
import { defineCommand, formatOf, listOptions } from '../command.ts';
import { listing, oneLine, type Table } from '../table.ts';
import { type AccountClient, openAccounts } from './account-client.ts';
import { readKeyFile } from './key-file.ts';

/** Columns of `account list`: operations.md §6. */
const accountTable: Table<Account> = {
  columns: [
    { name: 'login', value: row => row.login },
    { name: 'uuid', value: row => row.uuid },
    { name: 'approved', value: row => row.approved },
    { name: 'groups', value: row => row.groups },
  ],
  shown: ['login', 'uuid', 'approved', 'groups'],
};

/** Who may read the Secret of the region's key. */
const role = 'admin of the namespace';

/** `account list`. */
export const accountList = defineCommand({
  words: ['account', 'list'],
  operands: [],
  options: listOptions,
  help: 'accounts, by login',
  role,
  async run(context, _, values) {
    return { text: listing(accountTable, await (await openAccounts(context)).list(), formatOf(values)) };
  },
});

/** `account show`. */
export const accountShow = defineCommand({
  words: ['account', 'show'],
  operands: ['LOGIN'],
  options: { json: listOptions.json },
  help: 'an account with its keys',
  role,
  async run(context, [login = ''], values) {
    const account = await (await openAccounts(context)).get(login);
    return { text: values.json ? `${JSON.stringify(account, undefined, 2)}\n` : describeAccount(account) };
  },
});

/** `account create`: somebody who may use the region from now on. */
export const accountCreate = defineCommand({
  words: ['account', 'create'],
  operands: ['LOGIN'],
  options: {
    key: { type: 'string', help: 'FILE with a public key, as ssh-keygen writes it; needed' },
    operator: { type: 'boolean', help: 'may see and change everything' },
    email: { type: 'string', help: 'ADDRESS, shown to operators, used for nothing' },
  },
  help: 'makes an account with a key',
  role,
  async run(context, [login = ''], values) {
    const { text, name } = readKeyFile(needed(values.key, 'account create needs --key FILE'));
    const accounts = await openAccounts(context);
    const known = await unlessAbsent(accounts, login);
    // One that has keys is somebody's: a new key would be a way into it. One without is what a failed run left.
    if (known !== undefined && known.keys.length > 0) {
      const other = `kubectl manta key add ${login} --key FILE`;
      throw new MantaError('AccountExists', `account ${login} exists; another key for it: ${other}`);
    }
    const rights = values.operator ? ', an operator who may see and change everything' : '';
    await context.confirm(`Account ${login}${rights}, with the key ${name}.`);
    const email = values.email ?? known?.email ?? 'nobody@example.com';
    await accounts.put(login, { email, approved: true, groups: values.operator ? ['operators'] : [] });
    return { text: `${login}: created, 1 key\n${howToUse(login, await accounts.putKey(login, name, text))}` };
  },
});

/** `account approve`. */
export const accountApprove = defineCommand({
  words: ['account', 'approve'],
  operands: ['LOGIN'],
  options: {},
  help: 'lets an account in that was disabled',
  role,
  async run(context, [login = '']) {
    const accounts = await openAccounts(context);
    await accounts.get(login);
    await context.confirm(`Account ${login} may use the region.`);
    await accounts.put(login, { approved: true });
    return { text: `${login}: approved\n` };
  },
});

/** `account disable`. */
export const accountDisable = defineCommand({
  words: ['account', 'disable'],
  operands: ['LOGIN'],
  options: {},
  help: 'refuses all requests of an account; its data stay',
  role,
  async run(context, [login = '']) {
    const accounts = await openAccounts(context);
    await accounts.get(login);
    await context.confirm(`All requests of account ${login} are refused; its data stay.`);
    await accounts.put(login, { approved: false });
    return { text: `${login}: disabled\n` };
  },
});

/** `key add`. */
export const keyAdd = defineCommand({
  words: ['key', 'add'],
  operands: ['LOGIN'],
  options: {
    key: { type: 'string', help: 'FILE with a public key, as ssh-keygen writes it; needed' },
    name: { type: 'string', help: 'NAME of the key; default: the file’s without .pub' },
  },
  help: 'gives an account a further key',
  role,
  async run(context, [login = ''], values) {
    const { text, name } = readKeyFile(needed(values.key, 'key add needs --key FILE'));
    const accounts = await openAccounts(context);
    const { keys } = await accounts.get(login);
    const called = values.name ?? name;
    const replaced = keys.some(key => key.name === called) ? ', in place of the one of that name' : '';
    await context.confirm(`Account ${login} can be used with the key ${called}${replaced}.`);
    return { text: `${login}: key ${called} added\n${howToUse(login, await accounts.putKey(login, called, text))}` };
  },
});

/** `key rm`. */
export const keyRemove = defineCommand({
  words: ['key', 'rm'],
  operands: ['LOGIN', 'NAME'],
  options: {},
  help: 'takes a key of an account away',
  role,
  async run(context, [login = '', name = '']) {
    const accounts = await openAccounts(context);
    const { keys } = await accounts.get(login);
    if (!keys.some(key => key.name === name)) {
      const names = keys.map(key => key.name).join(', ') || 'none';
      throw new MantaError('KeyDoesNotExist', `account ${login} has no key ${name}; it has: ${names}`);
    }
    const last = keys.length === 1 ? ' It is the last one: nobody can use the account then.' : '';
    await context.confirm(`The key ${name} of account ${login} is accepted no longer.${last}`);
    await accounts.deleteKey(login, name);
    return { text: `${login}: key ${name} removed\n` };
  },
});

function describeAccount({ login, uuid, email, approved, groups, keys }: AccountDetails): string {
  const lines = [
    ['login', login],
    ['uuid', uuid],
    ['email', email],
    ['approved', approved ? 'yes' : 'no'],
    ['groups', groups.join(', ') || '-'],
    ...keys.map(key => ['key', `${key.md5Fingerprint}  ${key.algorithm}  ${key.name}`]),
  ];
  return lines.map(([name = '', value = '']) => `${name.padEnd(9)} ${oneLine(value)}\n`).join('');
}

function howToUse(login: string, { md5Fingerprint }: Key): string {
  return `  export MANTA_USER=${login} MANTA_KEY_ID=${md5Fingerprint}\n`;
}

async function unlessAbsent(accounts: AccountClient, login: string): Promise<AccountDetails | undefined> {
  try {
    return await accounts.get(login);
  } catch (error) {
    if (codeOf(error) === 'ResourceNotFound') return undefined;
    throw error;
  }
}

function needed(value: string | undefined, otherwise: string): string {
  if (value === undefined) throw new MantaError('Usage', otherwise);
  return value;
}
