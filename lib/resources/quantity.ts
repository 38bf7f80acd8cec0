import { MantaError } from '../errors/manta-error.ts';

const FACTORS: Readonly<Record<string, number>> = {
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/**
 * What a quantity of Kubernetes amounts to: bytes for `8Gi`, cores for `500m`. Knows the forms that our resources admit,
 * and exponents as the API server writes them. Throws MantaError `InvalidParameter` for anything else.
 */
export function amountOf(quantity: string | number): number {
  const [, digits = '', suffix = ''] = /^(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)([A-Za-z]*)$/.exec(String(quantity)) ?? [];
  const factor = FACTORS[suffix];
  if (digits === '' || factor === undefined) throw new MantaError('InvalidParameter', `not a quantity: "${quantity}"`);
  return Number(digits) * factor;
}
