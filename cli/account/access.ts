import { createPrivateKey } from 'node:crypto';
import { z } from 'zod';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { secrets } from '../../lib/kubernetes/resources.ts';
import { createTokenSigner, type TokenSigner } from '../../lib/region-token/region-token.ts';
import type { CommandContext } from '../command.ts';
import { readRegion } from '../region-objects.ts';

const REGION_KEY = 'manta-region-key';
const reviewSchema = z.object({ status: z.object({ userInfo: z.object({ username: z.string() }) }) });

/**
 * Signs what webapi lets administrators do, in the name of the user of the kubeconfig, so that webapi's log says who it
 * was. With the region's key, whose Secret (operations.md §5.4) one has to be allowed to read. Throws MantaError
 * `AccessKeyMissing` while there is none.
 */
export async function createAccess(context: CommandContext): Promise<TokenSigner> {
  const { kubernetes, namespace, clock, signal } = context;
  const [region, secret, user] = await Promise.all([
    readRegion(context),
    kubernetes.get(secrets, { namespace, name: REGION_KEY }, { signal }),
    userOf(context),
  ]);
  const entry = (name: string) => Buffer.from(secret?.data?.[name] ?? '', 'base64').toString('utf8');
  const kid = entry('current');
  const pem = entry(`${kid}.key`);
  if (kid === '' || pem === '') {
    throw new MantaError('AccessKeyMissing', `Secret ${REGION_KEY} has no key yet: kubectl -n ${namespace} get mr`);
  }
  return createTokenSigner({
    region: region.spec.regionName,
    subject: `cli/${user}`,
    kid,
    privateKey: createPrivateKey(pem),
    clock,
  });
}

async function userOf({ kubernetes, signal }: CommandContext): Promise<string> {
  const review = await kubernetes.json({
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }),
    signal,
  });
  return reviewSchema.parse(review).status.userInfo.username;
}
