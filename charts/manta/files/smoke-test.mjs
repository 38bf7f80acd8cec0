// `helm test`: writes, lists, reads and deletes an object through the loadbalancer, as poseidon. Needs Node.js alone.
//   node smoke-test.mjs <url of the loadbalancer> <directory with id_rsa and key-id>
import { randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request as overHttp } from 'node:http';
import { request as overTls } from 'node:https';
import { join } from 'node:path';

const ACCOUNT = 'poseidon';
const ANSWER_WITHIN_MS = 30_000;

const [url, keys] = process.argv.slice(2);
if (url === undefined || keys === undefined) throw new Error('usage: smoke-test.mjs <url> <directory of the key>');
const privateKey = readFileSync(join(keys, 'id_rsa'), 'utf8');
const keyId = readFileSync(join(keys, 'key-id'), 'utf8').trim();

/** Sends a signed request. Throws unless the answer's status is the expected one. Resolves with its body. */
async function call(method, path, expected, { body = '', type = 'text/plain' } = {}) {
  const date = new Date().toUTCString();
  const signature = sign('sha256', Buffer.from(`date: ${date}`), privateKey).toString('base64');
  const parts = { keyId: `/${ACCOUNT}/keys/${keyId}`, algorithm: 'rsa-sha256', headers: 'date', signature };
  const headers = {
    date,
    authorization: `Signature ${Object.entries(parts)
      .map(([name, value]) => `${name}="${value}"`)
      .join(',')}`,
    ...(method === 'PUT' ? { 'content-type': type, 'content-length': Buffer.byteLength(body) } : {}),
  };
  const { status, text } = await exchange(method, path, headers, body);
  console.log(`${method} ${path}: ${status}`);
  if (status !== expected) throw new Error(`${method} ${path}: ${status} instead of ${expected}: ${text}`);
  return text;
}

function exchange(method, path, headers, body) {
  return new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? overTls : overHttp;
    // The certificate is made for the region's host names, not for the Service's, and may be self-signed.
    const options = { method, headers, rejectUnauthorized: false, timeout: ANSWER_WITHIN_MS };
    const request = send(new URL(path, url), options, async response => {
      try {
        const chunks = await response.toArray();
        resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString() });
      } catch (error) {
        reject(error);
      }
    });
    request.on('timeout', () => request.destroy(new Error(`${method} ${path}: no answer in ${ANSWER_WITHIN_MS} ms`)));
    request.on('error', reject);
    request.end(body);
  });
}

const directory = `/${ACCOUNT}/stor/helm-test-${randomUUID()}`;
const text = `written at ${new Date().toISOString()}\n`;
await call('PUT', directory, 204, { type: 'application/json; type=directory' });
try {
  await call('PUT', `${directory}/object`, 204, { body: text });
  const names = (await call('GET', directory, 200))
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line).name);
  if (names.join() !== 'object') throw new Error(`the directory lists ${JSON.stringify(names)}`);
  const found = await call('GET', `${directory}/object`, 200);
  if (found !== text) throw new Error(`read ${JSON.stringify(found)}, wrote ${JSON.stringify(text)}`);
  await call('DELETE', `${directory}/object`, 204);
  await call('GET', `${directory}/object`, 404);
} finally {
  await call('DELETE', directory, 204);
}
console.log('ok: an object was written, listed, read and deleted');
