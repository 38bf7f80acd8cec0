import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';

const ITERATIONS = 4096;
const VERIFIER = /^SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)$/;

/**
 * What PostgreSQL stores of a password (RFC 5803). Sent in the password's place, so that the password is in no statement
 * and in no log. The password is ASCII: it is used as it is, without SASLprep.
 */
export function scramVerifier(password: string, salt = randomBytes(16), iterations = ITERATIONS): string {
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const key = (text: string) => createHmac('sha256', salted).update(text).digest();
  const stored = createHash('sha256').update(key('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${key('Server Key').toString('base64')}`;
}

/** Whether a stored verifier is of this password. */
export function isVerifierOf(verifier: string, password: string): boolean {
  const match = VERIFIER.exec(verifier);
  if (match === null) return false;
  const expected = scramVerifier(password, Buffer.from(match[2] ?? '', 'base64'), Number(match[1]));
  return expected.length === verifier.length && timingSafeEqual(Buffer.from(expected), Buffer.from(verifier));
}
