import { join } from 'node:path';
import { writePrivateFile } from './private-file.ts';

/** What a client needs to know of a region. */
export interface ClientEnvironment {
  readonly url: string;
  readonly account: string;
  /** Colon-hex MD5 fingerprint of the account's key. */
  readonly keyId: string;
  /** Of the region's agent; undefined when the key is the user's own and so is the agent. */
  readonly agentSocket?: string | undefined;
}

/** Where the commands of the npm package `manta` are, and the module for homes without `.ssh`. */
export interface ClientTools {
  readonly binDirectory: string;
  readonly missingSshDirectory: string;
}

/** Writes `env`, a file for `.` of any POSIX shell. Sourcing it again changes nothing. metadata.md §17. */
export function writeEnvFile(dir: string, environment: ClientEnvironment, tools: ClientTools): void {
  writePrivateFile(join(dir, 'env'), formatEnvFile(environment, tools));
}

/** The text of `env`. */
export function formatEnvFile({ url, account, keyId, agentSocket }: ClientEnvironment, tools: ClientTools): string {
  const key =
    agentSocket === undefined
      ? ['# The private key is your own: in ~/.ssh, or in your SSH agent.']
      : ['# The region answers as an SSH agent, for its own key only.', `export SSH_AUTH_SOCK=${quote(agentSocket)}`];
  const bin = quote(tools.binDirectory);
  const option = quote(`--require=${JSON.stringify(tools.missingSshDirectory)}`);
  return `${[
    '# Written by the region at every start. Use it as:  . this-file',
    `export MANTA_URL=${quote(url)}`,
    `export MANTA_USER=${quote(account)}`,
    `export MANTA_KEY_ID=${quote(keyId)}`,
    '# Left over from another Manta, these would speak for somebody else here.',
    'unset MANTA_SUBUSER MANTA_ROLE MANTA_NO_AUTH',
    ...key,
    '# The commands: mls, mput, mget, …',
    unlessListed('PATH', ':', bin, `export PATH=${bin}:"$PATH"`),
    '# They do not get as far as the agent where there is no ~/.ssh at all.',
    'if [ ! -d "$HOME/.ssh" ]; then',
    `  ${unlessListed('NODE_OPTIONS', ' ', option, `export NODE_OPTIONS="\${NODE_OPTIONS:+$NODE_OPTIONS }"${option}`)}`,
    'fi',
  ].join('\n')}\n`;
}

/** So that sourcing twice changes nothing. */
function unlessListed(list: string, separator: string, word: string, command: string): string {
  return `case "${separator}\${${list}:-}${separator}" in *"${separator}"${word}"${separator}"*) ;; *) ${command} ;; esac`;
}

/** One word of the shell, whatever is in it. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
