import fc from 'fast-check';
import { formatLsn, laterOf, lsn, parseLsn } from './lsn.ts';

it.each([
  ['0/0', 0n],
  ['0/5000028', 0x500_0028n],
  ['0/0000000a', 10n],
  ['1/0', 1n << 32n],
  ['ab/CDEF0123', 0xab_cdef_0123n],
  ['FFFFFFFF/FFFFFFFF', (1n << 64n) - 1n],
  ['00000000000000ab/0', 0xabn << 32n],
])('%s is a position', (text, position) => {
  expect(parseLsn(text)).toBe(position);
});

it.each([
  '',
  '0',
  '/',
  '0/',
  '/0',
  '0/g',
  '0x0/0',
  '-1/0',
  ' 0/0',
  '0/0 ',
  '0/0/0',
  '100000000/0',
  '0/100000000',
  '0/0\n',
])('%j is none', text => {
  expect(() => parseLsn(text)).toThrow(expect.objectContaining({ code: 'InvalidLsn' }));
});

it('positions are compared as numbers, never as text', () => {
  expect(parseLsn('0/9') < parseLsn('0/10')).toBe(true);
  expect(parseLsn('9/0') < parseLsn('10/0')).toBe(true);
  expect(parseLsn('0/FFFFFFFF') < parseLsn('1/0')).toBe(true);
  expect(laterOf(parseLsn('0/9'), parseLsn('0/10'))).toBe(parseLsn('0/10'));
});

it('what is written is read back', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, (1n << 64n) - 1n), position => {
      expect(parseLsn(formatLsn(lsn(position)))).toBe(position);
    }),
  );
});
