import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { EtcdConfig } from '../../lib/coordinator/etcd.ts';
import type { SitterConfig } from './config.ts';

/** How etcd is reached, with the files that the configuration names read: certificates now, the password when it is needed. */
export function etcdConfigOf({ endpoints, deadlineMs, credentials, tls }: SitterConfig['etcd']): EtcdConfig {
  return {
    endpoints,
    deadlineMs,
    ...(credentials === undefined
      ? {}
      : {
          credentials: async () => ({
            username: credentials.username,
            password: (await readFile(credentials.passwordFile, 'utf8')).trim(),
          }),
        }),
    ...(tls === undefined ? {} : { tls: tlsOf(tls) }),
  };
}

function tlsOf({ caFile, certFile, keyFile, serverName }: NonNullable<SitterConfig['etcd']['tls']>) {
  return {
    root: readFileSync(caFile),
    ...(certFile === undefined ? {} : { cert: readFileSync(certFile) }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile) }),
    ...(serverName === undefined ? {} : { serverName }),
  };
}
