import { lookup } from 'mime-types';

const DEFAULT_TYPE = 'application/octet-stream';

/** What a PUT on a storage tree means. http-api.md §1.4. */
export type PutIntent = 'object' | 'directory' | 'link';

/**
 * http-api.md §1.3: an empty header counts as absent; one that does not look like `x/y` is taken for a file name or
 * extension, and what no table knows becomes `application/octet-stream`.
 */
export function cleanContentType(header: string | undefined): string | undefined {
  if (header === undefined || header === '') return undefined;
  if (/[^/]\/[^/]/.test(header)) return header;
  return lookup(header) || DEFAULT_TYPE;
}

/** The kind of PUT a cleaned `Content-Type` asks for. Only `application/json` with a `type` parameter is special. */
export function putIntentOf(contentType: string | undefined): PutIntent {
  if (contentType === undefined || !/^application\/json\s*;/i.test(contentType)) return 'object';
  const type = /;\s*type\s*=\s*"?(directory|link)"?\s*(?:;|$)/i.exec(contentType)?.[1];
  return type === undefined ? 'object' : (type.toLowerCase() as PutIntent);
}

/** The stored type of an object whose PUT named none. */
export function contentTypeOrDefault(contentType: string | undefined): string {
  return contentType ?? DEFAULT_TYPE;
}
