import { preflightHeaders, replayedHeaders } from './cors.ts';

const STORED = {
  'm-x': '1',
  'access-control-allow-origin': 'http://a.example, http://b.example',
  'access-control-allow-methods': 'GET, PUT',
  'access-control-allow-headers': 'X-Foo, x-bar',
  'access-control-expose-headers': 'm-x',
  'access-control-max-age': '60',
};

describe('a GET or HEAD', () => {
  test('without an origin gets the stored headers as they are', () => {
    expect(replayedHeaders(STORED, 'GET', undefined)).toEqual(STORED);
  });

  test('from an allowed origin gets that origin, and neither max-age nor allow-headers', () => {
    expect(replayedHeaders(STORED, 'GET', 'http://b.example')).toEqual({
      'm-x': '1',
      'access-control-allow-origin': 'http://b.example',
      'access-control-allow-methods': 'GET, PUT',
      'access-control-expose-headers': 'm-x',
    });
  });

  test('from another origin, or by a method that is not listed, gets no CORS header', () => {
    expect(replayedHeaders(STORED, 'GET', 'http://c.example')).toEqual({ 'm-x': '1' });
    expect(replayedHeaders(STORED, 'HEAD', 'http://a.example')).toEqual({ 'm-x': '1' });
  });

  test('of an entry open to all gets the asking origin', () => {
    const open = { 'access-control-allow-origin': '*' };
    expect(replayedHeaders(open, 'GET', 'http://c.example')).toEqual({
      'access-control-allow-origin': 'http://c.example',
    });
  });
});

describe('a preflight', () => {
  const asked = { origin: 'http://a.example', 'access-control-request-method': 'PUT' };

  test('is granted with what is stored', () => {
    const request = { ...asked, 'access-control-request-headers': 'x-foo, X-BAR' };
    expect(preflightHeaders(STORED, request)).toEqual({
      'access-control-allow-origin': 'http://a.example',
      'access-control-allow-methods': 'GET, PUT',
      'access-control-allow-headers': 'X-Foo, x-bar',
      'access-control-max-age': '60',
    });
  });

  test.each([
    ['its origin is not allowed', STORED, { ...asked, origin: 'http://c.example' }],
    ['its method is not listed', STORED, { ...asked, 'access-control-request-method': 'DELETE' }],
    ['it asks for a header that is not listed', STORED, { ...asked, 'access-control-request-headers': 'x-fo' }],
    ['it names no origin', STORED, { 'access-control-request-method': 'PUT' }],
    ['it names no method', STORED, { origin: 'http://a.example' }],
    ['no methods are stored', { 'access-control-allow-origin': '*' }, asked],
  ])('gets nothing when %s', (_, stored, request) => {
    expect(preflightHeaders(stored, request)).toEqual({});
  });
});
