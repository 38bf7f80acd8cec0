import { isVerifierOf, scramVerifier } from './scram.ts';

it('a verifier is of its password alone', () => {
  const verifier = scramVerifier('secret');
  expect(verifier).toMatch(/^SCRAM-SHA-256\$4096:/);
  expect(isVerifierOf(verifier, 'secret')).toBe(true);
  expect(isVerifierOf(verifier, 'Secret')).toBe(false);
  expect(isVerifierOf('md5abc', 'secret')).toBe(false);
  expect(isVerifierOf('', '')).toBe(false);
});
