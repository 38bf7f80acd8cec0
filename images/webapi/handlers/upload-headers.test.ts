import { parseBodyDeclaration, parseDisposition } from './upload-headers.ts';

const COPIES = { default: 2, max: 6 };
const MD5 = '1B2M2Y8AsgTpgAmY7PhCfg==';
const codeOf = (error: unknown) => (error as { code?: string }).code;

function outcome(headers: Record<string, string>): unknown {
  try {
    return parseBodyDeclaration(headers, COPIES);
  } catch (error) {
    return codeOf(error);
  }
}

test.each([
  ['a length', { 'content-length': '12' }, { sizeBytes: 12, copies: 2 }],
  ['no length and no chunks, which is empty', {}, { sizeBytes: 0 }],
  ['chunks', { 'transfer-encoding': 'chunked' }, { sizeBytes: undefined, maxBytes: undefined }],
  ['bounded chunks', { 'transfer-encoding': 'chunked', 'max-content-length': '9' }, { maxBytes: 9 }],
  ['a bound without chunks, which is ignored', { 'content-length': '1', 'max-content-length': '-1' }, { sizeBytes: 1 }],
  ['a digest', { 'content-md5': MD5 }, { md5: MD5 }],
  ['copies', { 'durability-level': '6' }, { copies: 6 }],
  ['copies by the other name', { 'x-durability-level': '1' }, { copies: 1 }],
  ['copies by both names, the first wins', { 'durability-level': '3', 'x-durability-level': '1' }, { copies: 3 }],
])('a PUT may declare %s', (_, headers, expected) => {
  expect(outcome(headers as Record<string, string>)).toMatchObject(expected);
});

test.each([
  ['a negative bound', { 'transfer-encoding': 'chunked', 'max-content-length': '-1' }, 'InvalidMaxContentLength'],
  ['a digest that is none', { 'content-md5': 'foo' }, 'BadRequest'],
  ['no copies', { 'durability-level': '0' }, 'InvalidDurabilityLevel'],
  ['too many copies', { 'durability-level': '10' }, 'InvalidDurabilityLevel'],
  ['copies that are no number', { 'durability-level': 'two' }, 'InvalidDurabilityLevel'],
])('a PUT is refused for %s', (_, headers, code) => {
  expect(outcome(headers as Record<string, string>)).toBe(code);
});

test('an unreadable disposition is a bad request', () => {
  expect(parseDisposition({})).toBeUndefined();
  expect(() => parseDisposition({ 'content-disposition': 'attachment; =' })).toThrow('Content-Disposition');
});
