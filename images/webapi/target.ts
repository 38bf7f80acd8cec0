import { LIMITS, placeOf } from '../../lib/metadata/path.ts';
import type { Uuid } from '../../lib/metadata/types.ts';

/** A request target after http-api.md §1.2: what it names, in decoded form, next to what the client wrote. */
export interface Target {
  /** Path as the client sent it, slashes collapsed, still percent-encoded: what messages show. Starts with a slash. */
  readonly path: string;
  /** Everything after the first `?`, undecoded; empty when there is none. */
  readonly query: string;
  /** Decoded first segment; empty for `/`. */
  readonly login: string;
  /** Decoded segments below the login; an encoded slash in them has become a separator. The first is the root. */
  readonly segments: readonly string[];
}

export type TargetResult =
  | { readonly kind: 'ok'; readonly target: Target }
  /** 400 InvalidResource. */
  | { readonly kind: 'invalid'; readonly path: string };

/** As long as any owner's UUID, so that limits can be checked before the owner is known. */
const SOME_OWNER = '00000000-0000-0000-0000-000000000000' as Uuid;

/**
 * Parses a raw request target by hand, in the order of http-api.md §1.2: nothing but runs of slashes and one trailing
 * slash is ever normalised, because signatures and keys depend on every other byte.
 */
export function parseTarget(rawTarget: string): TargetResult {
  const origin = rawTarget.startsWith('/') ? rawTarget : rawTarget.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i, '');
  const cut = origin.indexOf('?');
  const path = collapseSlashes(cut === -1 ? origin : origin.slice(0, cut));
  const query = cut === -1 ? '' : origin.slice(cut + 1);
  const invalid: TargetResult = { kind: 'invalid', path };
  if (path === '/') return { kind: 'ok', target: { path, query, login: '', segments: [] } };

  const segments: string[] = [];
  let login = '';
  let index = 0;
  for (const raw of path.slice(1).split('/')) {
    const decoded = decodeSegment(raw);
    if (decoded === undefined) return invalid;
    if (decoded.includes('/')) {
      if (index < 2) return invalid;
      const pieces = decoded.split('/');
      if (!pieces.every(isName)) return invalid;
      segments.push(...pieces);
    } else {
      if (!isName(decoded)) return invalid;
      if (index === 0) login = decoded;
      else segments.push(decoded);
    }
    index += 1;
  }
  // Decoding never makes a name longer, so a short path needs no closer look.
  if (path.length > LIMITS.nameBytes && segments.length > 0 && placeOf(SOME_OWNER, segments) === undefined) {
    return invalid;
  }
  return { kind: 'ok', target: { path, query, login, segments } };
}

/** The path of a target's parent, as the client would write it; what messages about a missing parent name. */
export function parentPath(path: string): string {
  const cut = path.lastIndexOf('/');
  return cut <= 0 ? '/' : path.slice(0, cut);
}

/** First value of a query parameter, decoded; undefined when absent. */
export function queryParameter(query: string, name: string): string | undefined {
  if (query === '') return undefined;
  return new URLSearchParams(query).get(name) ?? undefined;
}

function collapseSlashes(path: string): string {
  const collapsed = path.includes('//') ? path.replace(/\/{2,}/g, '/') : path;
  if (collapsed === '') return '/';
  return collapsed.length > 1 && collapsed.endsWith('/') ? collapsed.slice(0, -1) : collapsed;
}

function isName(segment: string): boolean {
  return segment !== '' && segment !== '.' && segment !== '..';
}

/** Undefined for a malformed escape, invalid UTF-8 or NUL. */
function decodeSegment(raw: string): string | undefined {
  if (!/[%\x80-\xff\0]/.test(raw)) return raw;
  // Node hands over raw bytes beyond ASCII as Latin-1 characters; they are UTF-8 like the escaped ones.
  const escaped = raw.replace(/[\x80-\xff]/g, byte => `%${byte.charCodeAt(0).toString(16)}`);
  try {
    const decoded = decodeURIComponent(escaped);
    return decoded.includes('\0') ? undefined : decoded;
  } catch {
    return undefined;
  }
}
