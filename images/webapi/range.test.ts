import fc from 'fast-check';
import { ifRangeHolds, parseRange } from './range.ts';

test.each([
  [undefined, 26, 'whole'],
  ['', 26, 'whole'],
  ['bytes=0-2', 26, '0-2'],
  ['bytes=0-0', 26, '0-0'],
  ['bytes=-5', 26, '21-25'],
  ['bytes=-100', 26, '0-25'],
  ['bytes=10-', 26, '10-25'],
  ['bytes=0-1000', 26, '0-25'],
  ['bytes=0-26', 26, '0-25'],
  ['bytes=25-99999999999999999999', 26, '25-25'],
  ['bytes=50-100', 26, 'unsatisfiable'],
  ['bytes=26-', 26, 'unsatisfiable'],
  ['bytes=-0', 26, 'unsatisfiable'],
  ['bytes=5-2', 26, 'unsatisfiable'],
  ['bytes=-', 26, 'unsatisfiable'],
  ['bytes=foo', 26, 'unsatisfiable'],
  ['lines=0-2', 26, 'unsatisfiable'],
  ['bytes=0-1,3-4', 26, 'several'],
])('the range %p of %i bytes is %s', (header, size, expected) => {
  const range = parseRange(header, size);
  expect(range.kind === 'part' ? `${range.first}-${range.last}` : range.kind).toBe(expected);
});

test('a part always lies within the object', () => {
  const digits = fc.oneof(fc.constant(''), fc.nat(40).map(String));
  fc.assert(
    fc.property(digits, digits, fc.integer({ min: 1, max: 30 }), (from, to, size) => {
      const range = parseRange(`bytes=${from}-${to}`, size);
      if (range.kind !== 'part') return;
      expect(range.first).toBeGreaterThanOrEqual(0);
      expect(range.first).toBeLessThanOrEqual(range.last);
      expect(range.last).toBeLessThan(size);
    }),
  );
});

const ETAG = '0f3a1c52-7b7e-4c1d-9a63-9f0e2d4b8c11';
const MTIME = Date.parse('2024-05-06T07:08:09.400Z');

test.each([
  [undefined, true],
  [ETAG, true],
  [`"${ETAG}"`, true],
  [`W/"${ETAG}"`, false],
  ['other', false],
  ['"2024"', false],
  ['Mon, 06 May 2024 07:08:09 GMT', true],
  ['Mon, 06 May 2024 07:08:10 GMT', false],
])('If-Range %p lets the range stand: %p', (header, expected) => {
  expect(ifRangeHolds(header, ETAG, MTIME)).toBe(expected);
});
