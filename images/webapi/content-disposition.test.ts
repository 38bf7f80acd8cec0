import fc from 'fast-check';
import { normalizeDisposition } from './content-disposition.ts';

test.each([
  ['attachment', 'attachment'],
  ['Inline', 'inline'],
  ['attachment; filename=a.txt', 'attachment; filename="a.txt"'],
  ['attachment; filename="a b.txt"', 'attachment; filename="a b.txt"'],
  ['attachment; filename="/tmp/x/a.txt"', 'attachment; filename="a.txt"'],
  ['attachment; size=3; FileName="a.txt"; foo=bar', 'attachment; filename="a.txt"'],
  ['attachment; filename="a\\"b"', 'attachment; filename="a\\"b"'],
  ["attachment; filename*=UTF-8''caf%C3%A9.txt", 'attachment; filename="caf\u00e9.txt"'],
  ["attachment; filename*=UTF-8''%E2%82%AC.txt", 'attachment; filename="?.txt"'],
  ["attachment; filename=plain; filename*=UTF-8''other", 'attachment; filename="plain"'],
])('the disposition %p is stored as %p', (header, expected) => {
  expect(normalizeDisposition(header)).toBe(expected);
});

test.each([
  [''],
  ['"attachment"'],
  ['attachment;'],
  ['attachment; filename'],
  ['attachment; filename='],
  ['attachment; filename="open'],
  ['attachment filename=a'],
  ['attachment; filename=a; filename=b'],
])('the disposition %p is refused', header => {
  expect(normalizeDisposition(header)).toBeUndefined();
});

test('what is stored is stored the same again', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), name => {
      const once = normalizeDisposition(`attachment; filename="${name.replace(/["\\]/g, '\\$&')}"`);
      if (once !== undefined) expect(normalizeDisposition(once)).toBe(once);
    }),
  );
});
