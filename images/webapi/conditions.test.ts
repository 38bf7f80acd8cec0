import fc from 'fast-check';
import { bareEtag, evaluateConditions, isGuarded } from './conditions.ts';

const ETAG = '0f3a1c52-7b7e-4c1d-9a63-9f0e2d4b8c11';
const OTHER = 'b1d5c0a2-1111-4c1d-9a63-9f0e2d4b8c22';
const MTIME = Date.parse('2024-05-06T07:08:09.400Z');
const CURRENT = { etag: ETAG, mtimeMs: MTIME };
const SAME = 'Mon, 06 May 2024 07:08:09 GMT';
const BEFORE = 'Mon, 06 May 2024 07:08:08 GMT';
const AFTER = 'Mon, 06 May 2024 07:08:10 GMT';

/** Outcomes for: a read of the entry, a write to it, a write where none is. */
type Row = [headers: Record<string, string>, read: number, write: number, create: number];

const ROWS: Row[] = [
  [{}, 200, 200, 200],
  [{ 'if-match': ETAG }, 200, 200, 412],
  [{ 'if-match': `"${ETAG}"` }, 200, 200, 412],
  [{ 'if-match': `W/"${ETAG}"` }, 200, 200, 412],
  [{ 'if-match': `${OTHER}, ${ETAG}` }, 200, 200, 412],
  [{ 'if-match': OTHER }, 412, 412, 412],
  [{ 'if-match': '*' }, 200, 200, 412],
  [{ 'if-match': '""' }, 412, 412, 200],
  [{ 'if-none-match': ETAG }, 304, 412, 200],
  [{ 'if-none-match': `"${ETAG}"` }, 304, 412, 200],
  [{ 'if-none-match': OTHER }, 200, 200, 200],
  [{ 'if-none-match': '*' }, 304, 412, 200],
  [{ 'if-unmodified-since': SAME }, 200, 200, 200],
  [{ 'if-unmodified-since': AFTER }, 200, 200, 200],
  [{ 'if-unmodified-since': BEFORE }, 412, 412, 200],
  [{ 'if-unmodified-since': 'yesterday' }, 200, 200, 200],
  [{ 'if-modified-since': SAME }, 304, 412, 200],
  [{ 'if-modified-since': AFTER }, 304, 412, 200],
  [{ 'if-modified-since': BEFORE }, 200, 200, 200],
  [{ 'if-modified-since': 'yesterday' }, 200, 200, 200],
  [{ 'if-match': ETAG, 'if-unmodified-since': BEFORE }, 200, 200, 412],
  [{ 'if-none-match': OTHER, 'if-modified-since': AFTER }, 200, 200, 200],
  [{ 'if-match': OTHER, 'if-none-match': ETAG }, 412, 412, 412],
  [{ 'if-match': ETAG, 'if-none-match': ETAG }, 304, 412, 412],
];

test.each(ROWS)('%p answers a read %i, a write %i, a creation %i', (headers, read, write, create) => {
  const statusOf = (current: typeof CURRENT | undefined, isRead: boolean) => {
    const result = evaluateConditions(headers, current, isRead);
    return result.kind === 'holds' ? 200 : result.status;
  };
  expect([statusOf(CURRENT, true), statusOf(CURRENT, false), statusOf(undefined, false)]).toEqual([
    read,
    write,
    create,
  ]);
});

test('a root without an entry exists, but has neither tag nor time', () => {
  const root = { etag: undefined, mtimeMs: undefined };
  expect(evaluateConditions({ 'if-match': '*' }, root, false).kind).toBe('holds');
  expect(evaluateConditions({ 'if-none-match': '*' }, root, false).kind).toBe('fails');
  expect(evaluateConditions({ 'if-match': '""' }, root, false).kind).toBe('fails');
  expect(evaluateConditions({ 'if-unmodified-since': BEFORE }, root, false).kind).toBe('holds');
});

test.each([
  [`"${ETAG}"`, ETAG],
  ['"abc"', 'abc'],
  ['"a-b"', '"a-b"'],
  ['W/"abc"', 'abc'],
  ['""', ''],
  ['abc', 'abc'],
])('the tag %p is compared as %p', (token, bare) => {
  expect(bareEtag(token)).toBe(bare);
});

test('If-Match and If-None-Match of one list never both hold for an entry', () => {
  const token = fc.constantFrom(ETAG, OTHER, '*', '""', `"${ETAG}"`, 'x');
  fc.assert(
    fc.property(fc.array(token, { minLength: 1, maxLength: 4 }), tokens => {
      const list = tokens.join(', ');
      const match = evaluateConditions({ 'if-match': list }, CURRENT, true).kind;
      const noneMatch = evaluateConditions({ 'if-none-match': list }, CURRENT, true).kind;
      expect(match).not.toBe(noneMatch);
    }),
  );
});

test('only comparisons of tags guard the write', () => {
  expect(isGuarded({ 'if-match': '*' })).toBe(true);
  expect(isGuarded({ 'if-none-match': '*' })).toBe(true);
  expect(isGuarded({ 'if-unmodified-since': SAME })).toBe(false);
});
