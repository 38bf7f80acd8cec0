import { sameHeaders, storedHeadersOf, storedObjectHeadersOf } from './stored-headers.ts';

test('user metadata, CORS and caching headers are stored, everything else is not', () => {
  const request = {
    'm-color': 'red',
    'm-': 'x',
    'm--': 'x',
    'cache-control': 'no-store',
    'surrogate-key': 'k',
    'access-control-allow-origin': '*',
    'access-control-request-method': 'PUT',
    'content-encoding': 'gzip',
    host: 'h',
  };
  expect(storedHeadersOf(request)).toEqual({
    'm-color': 'red',
    'cache-control': 'no-store',
    'surrogate-key': 'k',
    'access-control-allow-origin': '*',
  });
});

test('the header that reaches the budget of 4,096 bytes, and every one after it, is dropped', () => {
  const stored = storedHeadersOf({ 'm-a': 'x'.repeat(4000), 'm-b': 'x'.repeat(95), 'm-c': 'x', 'm-d': '' });
  expect(Object.keys(stored)).toEqual(['m-a', 'm-b']);
});

test('an object below /public is readable from every origin unless its writer says else', () => {
  expect(storedObjectHeadersOf({}, true)).toEqual({ 'access-control-allow-origin': '*' });
  expect(storedObjectHeadersOf({}, false)).toEqual({});
  const own = { 'access-control-allow-origin': 'http://a' };
  expect(storedObjectHeadersOf(own, true)).toEqual(own);
});

test('header sets are equal whatever their order', () => {
  expect(sameHeaders({ a: '1', b: '2' }, { b: '2', a: '1' })).toBe(true);
  expect(sameHeaders({ a: '1' }, { a: '1', b: '2' })).toBe(false);
  expect(sameHeaders({ a: '1' }, { a: '2' })).toBe(false);
});
