import { canonicalQuantity } from './quantities.ts';

test.each([
  ['2048Mi', '2Gi'],
  ['384Mi', '384Mi'],
  ['1.5Gi', '1536Mi'],
  ['0.5Ki', '512'],
  ['1024Ti', '1Pi'],
  ['0.5', '500m'],
  ['1000m', '1'],
  ['50m', '50m'],
  ['4', '4'],
  ['2000', '2k'],
  ['1500M', '1500M'],
  ['3000M', '3G'],
  ['0', '0'],
  ['0.0001', '0.0001'],
  ['1e3', '1e3'],
])('the API server writes %s as %s', (given, canonical) => {
  expect(canonicalQuantity(given)).toBe(canonical);
});
