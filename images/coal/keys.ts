import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sshpk from 'sshpk';
import { writePrivateFile } from './private-file.ts';

const generate = promisify(generateKeyPair);

/** The region's Ed25519 key, made once: `keys/region`, PKCS #8. metadata.md §14.5, §17. */
export async function loadRegionKey(dir: string): Promise<KeyObject> {
  const path = join(keysDirectory(dir), 'region');
  if (!existsSync(path)) {
    const { privateKey } = await generate('ed25519');
    writePrivateFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  }
  return createPrivateKey(readFileSync(path));
}

/** A key pair of the account `admin`. */
export interface AdminKey {
  /** PEM. */
  readonly privateKey: string;
  /** One line, as in OpenSSH's `.pub` files. */
  readonly publicKey: string;
}

/** The pair `keys/id_rsa`, `keys/id_rsa.pub`, made once. */
export async function loadAdminKey(dir: string): Promise<AdminKey> {
  const path = join(keysDirectory(dir), 'id_rsa');
  if (!existsSync(path)) {
    const { privateKey } = await generate('rsa', { modulusLength: 2048 });
    writePrivateFile(path, privateKey.export({ type: 'pkcs1', format: 'pem' }).toString());
  }
  const privateKey = readFileSync(path, 'utf8');
  const key = sshpk.parsePrivateKey(privateKey, 'pem').toPublic();
  key.comment = 'admin@coal';
  const publicKey = key.toString('ssh');
  if (!existsSync(`${path}.pub`)) writePrivateFile(`${path}.pub`, `${publicKey}\n`, 0o644);
  return { privateKey, publicKey };
}

function keysDirectory(dir: string): string {
  const keys = join(dir, 'keys');
  mkdirSync(keys, { recursive: true, mode: 0o700 });
  return keys;
}
