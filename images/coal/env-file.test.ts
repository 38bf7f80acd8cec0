import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientEnvironment, formatEnvFile } from './env-file.ts';

const shells = ['sh', 'bash', 'zsh', 'dash', 'ksh'].filter(name =>
  ['/bin', '/usr/bin', '/usr/local/bin'].some(dir => existsSync(join(dir, name))),
);
const tools = {
  binDirectory: "/a place/with 'quotes'/bin",
  missingSshDirectory: join(import.meta.dirname, 'missing-ssh-directory.cjs'),
};
const region: ClientEnvironment = {
  url: 'http://127.0.0.1:8080',
  account: 'admin',
  keyId: 'aa:bb',
  agentSocket: '/tmp/$HOME/"agent"',
};

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'manta-env-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** Variables after `env` was sourced twice, under `set -eu`, from another directory. */
function variablesAfter(shell: string, environment: ClientEnvironment, before: Record<string, string> = {}) {
  writeFileSync(join(dir, 'env'), formatEnvFile(environment, tools));
  const print = `"${process.execPath}" -p 'JSON.stringify(process.env)'`;
  const script = `set -eu; . "${join(dir, 'env')}"; . "${join(dir, 'env')}"; ${print}`;
  const env = { PATH: '/usr/bin:/bin', HOME: dir, ...before };
  return JSON.parse(execFileSync(shell, ['-c', script], { cwd: '/', env, encoding: 'utf8' })) as Record<string, string>;
}

describe('the env file', () => {
  it.each(shells)('gives %s everything a client needs, whatever is in the values, and once only', shell => {
    mkdirSync(join(dir, '.ssh'));
    const variables = variablesAfter(shell, region);
    expect(variables).toMatchObject({
      MANTA_URL: 'http://127.0.0.1:8080',
      MANTA_USER: 'admin',
      MANTA_KEY_ID: 'aa:bb',
      SSH_AUTH_SOCK: '/tmp/$HOME/"agent"',
      PATH: `${tools.binDirectory}:/usr/bin:/bin`,
    });
    expect(variables.NODE_OPTIONS).toBeUndefined();
  });

  it.each(shells)('lets Node see an empty .ssh in %s when there is none, beside other options', shell => {
    const { NODE_OPTIONS = '' } = variablesAfter(shell, region, { NODE_OPTIONS: '--no-warnings' });
    expect(NODE_OPTIONS).toBe(`--no-warnings --require="${tools.missingSshDirectory}"`);
    const list =
      "require('fs').readdir(process.env.HOME + '/.ssh', (error, names) => console.log(String(error), names))";
    const env = { HOME: dir, NODE_OPTIONS };
    expect(execFileSync(process.execPath, ['-e', list], { env, encoding: 'utf8' })).toBe('null []\n');
    expect(existsSync(join(dir, '.ssh'))).toBe(false);
  });

  it('leaves the agent alone when the key is the user’s own, and drops what another Manta left', () => {
    const variables = variablesAfter(
      'sh',
      { ...region, agentSocket: undefined },
      { SSH_AUTH_SOCK: '/mine', MANTA_NO_AUTH: 'true', MANTA_SUBUSER: 'bob' },
    );
    expect(variables.SSH_AUTH_SOCK).toBe('/mine');
    expect(variables.MANTA_NO_AUTH).toBeUndefined();
    expect(variables.MANTA_SUBUSER).toBeUndefined();
  });
});
