import type { IncomingHttpHeaders } from 'node:http';

/** CORS headers that an entry remembers: http-api.md §6.8. */
const STORED_CORS = [
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-allow-origin',
  'access-control-expose-headers',
  'access-control-max-age',
] as const;

const STORED_NAMES: ReadonlySet<string> = new Set([...STORED_CORS, 'cache-control', 'surrogate-key']);

/** Values of all `m-*` headers of one entry stay below this many bytes: http-api.md §6.7. */
const METADATA_BUDGET_BYTES = 4096;

/**
 * The request headers that are stored with an entry and replayed when it is read. User metadata beyond its budget is
 * dropped without a word, as clients expect: the header that reaches the budget, and every one after it.
 */
export function storedHeadersOf(headers: IncomingHttpHeaders): Record<string, string> {
  const stored: Record<string, string> = {};
  let metadataBytes = 0;
  for (const name in headers) {
    const value = headers[name];
    if (typeof value !== 'string') continue;
    if (name.startsWith('m-')) {
      if (!/^m-\w/.test(name)) continue;
      // Node decodes header bytes as Latin-1: one character is one byte.
      metadataBytes += value.length;
      if (metadataBytes < METADATA_BUDGET_BYTES) stored[name] = value;
    } else if (value !== '' && STORED_NAMES.has(name)) {
      stored[name] = value;
    }
  }
  return stored;
}

/** As `storedHeadersOf`, for an object: below `/public` everybody may read it from a browser unless the writer says else. */
export function storedObjectHeadersOf(headers: IncomingHttpHeaders, isPublic: boolean): Record<string, string> {
  const stored = storedHeadersOf(headers);
  if (isPublic) stored['access-control-allow-origin'] ??= '*';
  return stored;
}

export function sameHeaders(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every(name => a[name] === b[name]);
}
