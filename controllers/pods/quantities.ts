const BINARY = ['Ei', 'Pi', 'Ti', 'Gi', 'Mi', 'Ki'] as const;
const DECIMAL = ['E', 'P', 'T', 'G', 'M', 'k', ''] as const;

/**
 * A quantity in the form that the API server writes it in: `2048Mi` is `2Gi`, `0.5` is `500m`. What is applied in that form
 * is recognised as applied by an operator that has just started. Forms that are not known here are left alone.
 */
export function canonicalQuantity(quantity: string): string {
  const [, digits = '', suffix = ''] = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(quantity) ?? [];
  if (digits === '') return quantity;
  const power = BINARY.indexOf(suffix as (typeof BINARY)[number]);
  if (power >= 0) return written(Number(digits) * 1024 ** (BINARY.length - power), 1024, [...BINARY, '']) ?? quantity;
  if (suffix === 'm') return decimal(Number(digits)) ?? quantity;
  const place = DECIMAL.indexOf(suffix as (typeof DECIMAL)[number]);
  return (place < 0 ? undefined : decimal(Number(digits) * 1000 ** (DECIMAL.length - place))) ?? quantity;
}

/** All of a container's amounts. */
export function canonicalQuantities(amounts: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(amounts).map(([name, quantity]) => [name, canonicalQuantity(quantity)]));
}

function decimal(thousandths: number): string | undefined {
  return written(thousandths, 1000, [...DECIMAL, 'm']);
}

/** With the largest suffix that leaves a whole number; the last suffix stands for one. */
function written(amount: number, base: number, suffixes: readonly string[]): string | undefined {
  if (!Number.isSafeInteger(amount)) return undefined;
  if (amount === 0) return '0';
  const index = suffixes.findIndex((_, place) => amount % base ** (suffixes.length - 1 - place) === 0);
  return `${amount / base ** (suffixes.length - 1 - index)}${suffixes[index]}`;
}
