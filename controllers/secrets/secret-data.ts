import { randomBytes } from 'node:crypto';
import type { Secret } from '../../lib/kubernetes/resources.ts';

/** The entries of a Secret as text, by name. */
export type SecretData = Readonly<Record<string, string>>;

/** What a Secret of the API holds. */
export function dataOf(secret: Pick<Secret, 'data'> | undefined): SecretData {
  const entries = Object.entries(secret?.data ?? {});
  return Object.fromEntries(entries.map(([name, value]) => [name, Buffer.from(value, 'base64').toString('utf8')]));
}

/** The same as the API wants it. */
export function encodedData(data: SecretData): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(data).map(([name, text]) => [name, Buffer.from(text).toString('base64')]));
}

/** 192 bits as text that needs no quoting anywhere. */
export function newPassword(): string {
  return randomBytes(24).toString('base64url');
}

/** A password for each of the names that has none yet. An empty entry counts as none. */
export function missingPasswords(found: SecretData, names: readonly string[]): SecretData {
  return Object.fromEntries(names.filter(name => !found[name]).map(name => [name, newPassword()]));
}
