import fc from 'fast-check';
import { MantaError } from '../errors/manta-error.ts';
import { parseSignatureHeader, type SignedRequest } from './http-signature.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const clock = { nowMs: NOW, windowMs: 300_000 };
const date = new Date(NOW).toUTCString();
const request: SignedRequest = {
  method: 'PUT',
  target: '/alice/stor/a%20b?x=1',
  httpVersion: '1.1',
  headers: { date, 'x-date': date, host: 'manta.example.com', 'm-a': 'v', 'set-cookie': ['a', 'b'] },
};
const LINES: Readonly<Record<string, string>> = {
  date: `date: ${date}`,
  'x-date': `x-date: ${date}`,
  host: 'host: manta.example.com',
  'm-a': 'm-a: v',
  'set-cookie': 'set-cookie: a, b',
  '(request-target)': '(request-target): put /alice/stor/a%20b?x=1',
  'request-line': 'PUT /alice/stor/a%20b?x=1 HTTP/1.1',
};

describe('parseSignatureHeader', () => {
  it('reads back every header written in the syntax, parameters in any order', () => {
    const names = fc
      .shuffledSubarray(Object.keys(LINES))
      .filter(list => list.includes('date') || list.includes('x-date'));
    const order = fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 });
    const bytes = fc.uint8Array({ minLength: 1 }).map(array => Buffer.from(array));
    fc.assert(
      fc.property(names, order, bytes, fc.constantFrom(',', ', ', ' ,\t'), (list, places, signature, comma) => {
        const parameters = [
          'keyId="/alice/keys/aa"',
          'algorithm="RSA-SHA1"',
          `headers="${list.join(' ')}"`,
          `signature="${signature.toString('base64')}"`,
        ];
        const text = places.map(place => parameters[place]).join(comma);
        expect(parseSignatureHeader(text, request, clock)).toEqual({
          keyId: { account: 'alice', fingerprint: 'aa' },
          algorithm: 'rsa-sha1',
          signingStrings: [list.map(name => LINES[name]).join('\n')],
          signature,
        });
      }),
    );
  });

  it('answers any text with a signature or a MantaError, and is quick about it', () => {
    const pieces = fc.constantFrom(
      'keyId=',
      'algorithm="rsa-sha1"',
      'signature="AA"',
      'headers="',
      ',',
      '"',
      '=',
      ' ',
      '9',
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(pieces, { maxLength: 40 }).map(parts => parts.join('')),
    );
    fc.assert(
      fc.property(text, fc.string(), (parameters, anyDate) => {
        try {
          parseSignatureHeader(parameters, { ...request, headers: { date: anyDate } }, clock);
        } catch (error) {
          expect(error).toBeInstanceOf(MantaError);
        }
      }),
    );
    const started = performance.now();
    for (const filler of [' ', 'a', 'a=', '"', ',', 'a="",', 'a=1,']) {
      expect(() => parseSignatureHeader(filler.repeat(60_000 / filler.length), request, clock)).toThrow(MantaError);
    }
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  it('makes no text longer than the request it came with', () => {
    const headers = { date, 'm-a': 'v'.repeat(30_000) };
    const list = `date ${'m-a '.repeat(8_000)}`;
    const text = `keyId="/a/keys/b",algorithm="rsa-sha1",signature="AA",headers="${list}"`;
    expect(() => parseSignatureHeader(text, { ...request, headers }, clock)).toThrow('a header was listed twice');
  });
});
