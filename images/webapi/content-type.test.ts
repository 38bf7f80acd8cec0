import { cleanContentType } from './content-type.ts';

test.each([
  ['text/plain', 'text/plain'],
  ['text/plain; charset=utf-8', 'text/plain; charset=utf-8'],
  ['x/y', 'x/y'],
  ['jpg', 'image/jpeg'],
  ['photo.png', 'image/png'],
  ['argle', 'application/octet-stream'],
  ['argle/', 'application/octet-stream'],
  ['/bargle', 'application/octet-stream'],
  ['\xc3\xb8', 'application/octet-stream'],
  ['', undefined],
  [undefined, undefined],
])('the content type %p is taken for %p', (header, expected) => {
  expect(cleanContentType(header)).toBe(expected);
});
