import fc from 'fast-check';
import { parentPath, parseTarget, queryParameter } from './target.ts';

function parsed(raw: string): { login: string; segments: readonly string[]; path: string; query: string } | 'invalid' {
  const result = parseTarget(raw);
  return result.kind === 'ok' ? result.target : 'invalid';
}

describe('a request target', () => {
  test.each([
    ['is split into login and decoded segments', '/alice/stor/a%20b/c', 'alice', ['stor', 'a b', 'c']],
    ['loses runs of slashes and one trailing slash', '//alice///stor/x//', 'alice', ['stor', 'x']],
    ['loses scheme and authority of its absolute form', 'http://host:80/alice/stor', 'alice', ['stor']],
    ['has a root that may be escaped', '/alice/st%6Fr/x', 'alice', ['stor', 'x']],
    ['gets separators from encoded slashes below the root', '/alice/stor/a%2Fb', 'alice', ['stor', 'a', 'b']],
    ['keeps a plus sign', '/alice/stor/a+b', 'alice', ['stor', 'a+b']],
    ['keeps the two forms of one accented letter apart', '/a/stor/e%CC%81', 'a', ['stor', 'e\u0301']],
    ['reads raw bytes beyond ASCII as UTF-8', '/a/stor/\xc3\xa9', 'a', ['stor', '\u00e9']],
    ['may be the account alone', '/alice/', 'alice', []],
    ['may be nothing', '/', '', []],
  ])('%s', (_, raw, login, segments) => {
    expect(parsed(raw)).toMatchObject({ login, segments });
  });

  test.each([
    ['a malformed escape', '/alice/stor/%zz'],
    ['half an escape', '/alice/stor/a%2'],
    ['invalid UTF-8', '/alice/stor/%ff'],
    ['raw bytes that are no UTF-8', '/alice/stor/\xff'],
    ['NUL', '/alice/stor/a%00b'],
    ['an encoded slash in the login', '/ali%2Fce/stor/x'],
    ['an encoded slash in the root', '/alice/stor%2Fx'],
    ['an empty name made by an encoded slash', '/alice/stor/a%2F'],
    ['a dot', '/alice/stor/./x'],
    ['two dots', '/alice/stor/../x'],
    ['escaped dots', '/alice/stor/%2e%2E/x'],
    ['dots behind an encoded slash', '/alice/stor/a%2F..'],
    ['a name of more than 1,024 bytes', `/alice/stor/${'a'.repeat(1025)}`],
    ['more than 512 levels', `/alice/stor${'/a'.repeat(511)}`],
    ['a path of more than 4,096 bytes', `/alice/stor${`/${'a'.repeat(1000)}`.repeat(5)}`],
  ])('is refused for %s', (_, raw) => {
    expect(parsed(raw)).toBe('invalid');
  });

  test('is cut at the first question mark and keeps the rest as the query', () => {
    expect(parsed('/alice/stor/x?a=b?c')).toMatchObject({ path: '/alice/stor/x', query: 'a=b?c' });
  });

  test('gives back any names that a client encodes', () => {
    const name = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 40 })
      .filter(text => text !== '.' && text !== '..' && !/[\0/]/.test(text));
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 8 }), names => {
        const raw = `/alice/stor/${names.map(encodeURIComponent).join('/')}`;
        expect(parsed(raw)).toMatchObject({ login: 'alice', segments: ['stor', ...names] });
      }),
    );
  });

  test('never yields a name that could climb or hide, whatever bytes arrive', () => {
    const piece = fc.constantFrom('/', '//', '%2f', '%2F', '.', '..', '%2e', 'a', '%00', '%ff', '\xe9', '?', '%');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), pieces => {
        const result = parseTarget(`/${pieces.join('')}`);
        if (result.kind === 'invalid') return;
        for (const segment of result.target.segments) expect(segment).not.toMatch(/^$|^\.{1,2}$|[\0/]/);
      }),
    );
  });
});

test('the parent of a path is what precedes its last slash', () => {
  expect(parentPath('/alice/stor/a/b')).toBe('/alice/stor/a');
  expect(parentPath('/alice')).toBe('/');
});

test('a query parameter is decoded, its first value taken, and absent ones are undefined', () => {
  expect(queryParameter('a=1&b=x%20y&b=z', 'b')).toBe('x y');
  expect(queryParameter('a', 'a')).toBe('');
  expect(queryParameter('', 'a')).toBeUndefined();
});
