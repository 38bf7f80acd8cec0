import type { IncomingHttpHeaders } from 'node:http';

/** The current record as conditions see it; undefined: there is none. */
export interface CurrentRecord {
  /** Directories have none. */
  readonly etag: string | undefined;
  /** Undefined for a root without an entry. */
  readonly mtimeMs: number | undefined;
}

export type ConditionResult =
  | { readonly kind: 'holds' }
  /** `status` is what the client gets: 304 only for reads. `message` belongs to PreconditionFailed. */
  | { readonly kind: 'fails'; readonly status: 304 | 412; readonly message: string };

const HOLDS: ConditionResult = { kind: 'holds' };

/**
 * Evaluates the conditional headers in RFC 9110's order: http-api.md §6.6. `isRead` is true for GET and HEAD. Dates
 * compare in whole seconds, as `Last-Modified` shows them; an unreadable date is as if it were not sent.
 */
export function evaluateConditions(
  headers: IncomingHttpHeaders,
  current: CurrentRecord | undefined,
  isRead: boolean,
): ConditionResult {
  const ifMatch = headers['if-match'];
  const ifNoneMatch = headers['if-none-match'];
  const etag = current?.etag ?? '';
  if (ifMatch) {
    if (!isInList(ifMatch, current)) return fails(412, `if-match '${ifMatch}' didn't match etag '${etag}'`);
  } else {
    const since = isModifiedSince(headers['if-unmodified-since'], current);
    if (since === true) {
      return fails(412, `object was modified after '${headers['if-unmodified-since']}'`);
    }
  }
  if (ifNoneMatch) {
    if (isInList(ifNoneMatch, current)) {
      return fails(isRead ? 304 : 412, `if-none-match '${ifNoneMatch}' matched etag '${etag}'`);
    }
  } else {
    const since = isModifiedSince(headers['if-modified-since'], current);
    if (since === false) {
      return fails(isRead ? 304 : 412, `object was not modified since '${headers['if-modified-since']}'`);
    }
  }
  return HOLDS;
}

/** True when the write must be a compare-and-swap on the record as read. */
export function isGuarded(headers: IncomingHttpHeaders): boolean {
  return Boolean(headers['if-match'] || headers['if-none-match']);
}

/** An entity tag as clients write it, reduced to what is compared: http-api.md §6.6 on `W/` and quotes. */
export function bareEtag(token: string): string {
  const strong = token.startsWith('W/') ? token.slice(2) : token;
  const inside = /^"(\w*|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"$/i.exec(strong)?.[1];
  return inside ?? strong;
}

/** Epoch milliseconds of an HTTP date, cut to the second; undefined when it cannot be read. */
export function parseHttpDate(text: string): number | undefined {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : wholeSeconds(ms);
}

export function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

function fails(status: 304 | 412, message: string): ConditionResult {
  return { kind: 'fails', status, message };
}

/** `*` matches whatever exists; an absent entry has the empty tag, which `""` names. */
function isInList(list: string, current: CurrentRecord | undefined): boolean {
  for (const item of list.split(',')) {
    const token = item.trim();
    if (token === '*') {
      if (current !== undefined) return true;
    } else if (current === undefined ? bareEtag(token) === '' : bareEtag(token) === current.etag) {
      return true;
    }
  }
  return false;
}

/** Undefined when there is no such header, no readable date, or nothing to compare with. */
function isModifiedSince(header: string | undefined, current: CurrentRecord | undefined): boolean | undefined {
  if (header === undefined || current?.mtimeMs === undefined) return undefined;
  const since = parseHttpDate(header);
  return since === undefined ? undefined : wholeSeconds(current.mtimeMs) > since;
}
