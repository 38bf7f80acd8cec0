import { inspectChain } from '../../lib/certificates/inspect.ts';
import { createSelfSigned } from '../../lib/certificates/issue.ts';
import type { SecretData } from './secret-data.ts';

const DAYS = 365;
const RENEW_BEFORE_MS = 30 * 86_400_000;

/**
 * The self-signed certificate of Secret `manta-tls`, where no Secret is named (operations.md §4.8): made when there is none,
 * when it cannot be served, lacks a host name, or has 30 days left.
 */
export async function missingSelfSigned(
  found: SecretData,
  hostnames: readonly string[],
  nowMs: number,
): Promise<SecretData> {
  const verdict = inspectChain({ certificate: found['tls.crt'] ?? '', key: found['tls.key'] ?? '' }, nowMs);
  if (verdict.kind === 'good') {
    const [{ notAfter, subjects }] = verdict.chain;
    if (notAfter - nowMs > RENEW_BEFORE_MS && hostnames.every(name => subjects.includes(name))) return {};
  }
  const [commonName = 'manta'] = hostnames;
  const { certificate, key } = await createSelfSigned(
    // A name of an X.509 subject has 64 characters at most; the alternative names are what counts.
    { subject: { commonName: commonName.slice(0, 64) }, dnsNames: hostnames, usages: ['server'], days: DAYS },
    nowMs,
  );
  return { 'tls.crt': certificate, 'tls.key': key };
}
