import { sign } from 'node:crypto';
import { request } from 'undici';
import type { SecretData } from '../secrets/secret-data.ts';

/** One request to webapi, signed as the system account and as if a load balancer had passed it on. */
export async function asPoseidon(
  url: string,
  keys: SecretData,
  method: 'GET' | 'PUT',
  path: string,
  content?: { readonly type: string; readonly body: string },
): Promise<{ readonly status: number; readonly text: string }> {
  const date = new Date().toUTCString();
  const signature = sign('sha256', Buffer.from(`date: ${date}`), keys.id_rsa ?? '').toString('base64');
  const keyId = `/poseidon/keys/${keys['key-id']}`;
  const answer = await request(url + path, {
    method,
    headers: {
      date,
      authorization: `Signature keyId="${keyId}",algorithm="rsa-sha256",headers="date",signature="${signature}"`,
      'x-forwarded-proto': 'https',
      ...(content === undefined ? {} : { 'content-type': content.type }),
    },
    body: content?.body ?? null,
  });
  return { status: answer.statusCode, text: await answer.body.text() };
}
