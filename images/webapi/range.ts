import { bareEtag, parseHttpDate, wholeSeconds } from './conditions.ts';

export type RangeResult =
  | { readonly kind: 'whole' }
  /** Inclusive positions within the object. */
  | { readonly kind: 'part'; readonly first: number; readonly last: number }
  /** 416 RequestedRangeNotSatisfiable. */
  | { readonly kind: 'unsatisfiable' }
  /** 501 NotImplemented. */
  | { readonly kind: 'several' };

const WHOLE: RangeResult = { kind: 'whole' };
const UNSATISFIABLE: RangeResult = { kind: 'unsatisfiable' };

/** The part of an object of `size` bytes that a `Range` header asks for: http-api.md §6.3. An end past the last byte is clipped. */
export function parseRange(header: string | undefined, size: number): RangeResult {
  if (!header) return WHOLE;
  if (header.includes(',')) return { kind: 'several' };
  const match = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header);
  if (match === null) return UNSATISFIABLE;
  const [, from = '', to = ''] = match;
  if (from === '') {
    const length = Math.min(Number(to), size);
    return to === '' || length === 0 ? UNSATISFIABLE : { kind: 'part', first: size - length, last: size - 1 };
  }
  const first = Number(from);
  const last = to === '' ? size - 1 : Math.min(Number(to), size - 1);
  return first >= size || last < first ? UNSATISFIABLE : { kind: 'part', first, last };
}

/**
 * True when `If-Range` lets the range stand: RFC 9110 §13.1.5. Strong comparison of tags, exact comparison of dates;
 * anything else means the whole object.
 */
export function ifRangeHolds(header: string | undefined, etag: string, mtimeMs: number): boolean {
  if (!header) return true;
  const token = header.trim();
  if (token.startsWith('W/')) return false;
  if (bareEtag(token) === etag) return true;
  // A tag is never a date, but Date.parse reads almost anything with digits in it.
  if (!/^[A-Za-z]{3,9},? /.test(token)) return false;
  return parseHttpDate(token) === wholeSeconds(mtimeMs);
}
