import { isAcceptable } from './accept.ts';

test.each([
  [undefined, 'text/plain', true],
  ['', 'text/plain', true],
  ['*/*', 'text/plain', true],
  ['text/*', 'text/plain', true],
  ['TEXT/PLAIN', 'text/plain; charset=utf-8', true],
  ['text/plain;q=0.5, image/*', 'text/plain', true],
  ['text/html, */*;q=0.1', 'text/plain', true],
  ['text/html', 'text/plain', false],
  ['text/plain;q=0', 'text/plain', false],
  ['text/*, text/plain;q=0', 'text/plain', false],
  ['*/*;q=0.0', 'text/plain', false],
  ['image/jpeg', '/image/jpeg', false],
  ['application/octet-stream', '/image/jpeg', true],
  ['application/octet-stream', 'junk', true],
])('Accept %p admits %p: %p', (header, type, expected) => {
  expect(isAcceptable(header, type)).toBe(expected);
});
