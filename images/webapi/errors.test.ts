import { readFileSync } from 'node:fs';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { CATALOGUE, wireErrorOf } from './errors.ts';

test('the reference page lists the catalogue, row by row', () => {
  const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  const listed = page.split('\n').filter(line => /^\| \d/.test(line));
  const expected = Object.entries(CATALOGUE).map(
    ([code, entry]) => `| ${entry.status} | \`${entry.code ?? code}\` | ${entry.when} | ${entry.retryAfterS ?? ''} |`,
  );
  expect(listed).toEqual(expected);
});

test('every 503 tells when to come back', () => {
  for (const [code, entry] of Object.entries(CATALOGUE)) {
    if (entry.status === 503) expect([code, entry.retryAfterS]).toEqual([code, expect.any(Number)]);
  }
});

test('what the catalogue does not know becomes an internal error that tells nothing', () => {
  const internal = { status: 500, code: 'InternalError', message: 'an unexpected error occurred' };
  expect(wireErrorOf(new MantaError('SecretCode', 'password=hunter2'))).toEqual(internal);
  expect(wireErrorOf(new Error('relation "entry" does not exist'))).toEqual(internal);
  expect(wireErrorOf(Object.assign(new Error('x'), { code: 'BadRequest' }))).toEqual(internal);
  expect(wireErrorOf(new MantaError('toString', 'x'))).toEqual(internal);
  expect(wireErrorOf(undefined)).toEqual(internal);
});

test('storage nodes that are exhausted show as an internal error of status 503', () => {
  expect(wireErrorOf(new MantaError('SharksExhausted', 'node 3 refused'))).toEqual({
    status: 503,
    code: 'InternalError',
    message: 'No storage nodes available for this request',
    retryAfterS: 30,
  });
});

test('an error may know better when to come back', () => {
  expect(wireErrorOf(new MantaError('ServiceUnavailable', 'x', { retryAfterS: 9 })).retryAfterS).toBe(9);
});
