import { MantaError } from '../errors/manta-error.ts';
import type { RequestSignature } from './http-signature.ts';
import { parseKeyId } from './key-id.ts';
import { statusOfAlgorithm } from './signature-algorithm.ts';

/** The parts of a request that a presigned URL covers, as received. */
export interface PresignedRequest {
  readonly method: string;
  /** Origin form, undecoded. */
  readonly target: string;
  /** The Host header exactly as received, port included; empty when there was none. */
  readonly host: string;
}

const REQUIRED = ['algorithm', 'expires', 'keyId', 'signature'] as const;
/** More parameters than any client sends; keeps the cost of sorting them small for requests nobody vouches for. */
const MAX_PARAMETERS = 1000;

type Pair = readonly [name: string, value: string];

/** True when the query holds any of the four parameters of a presigned URL with a value. http-api.md §9.1. */
export function isPresigned(target: string): boolean {
  return parseQuery(target).pairs.some(([name, value]) => value !== '' && REQUIRED.some(key => key === name));
}

/**
 * Reads a presigned URL and builds the texts its maker may have signed. Checks in the order of http-api.md §9.4:
 * readable query without repeated names, method among those signed, the four parameters, expiry against `nowMs`,
 * algorithm (all MantaError `InvalidQueryStringAuthentication`), keyId (`InvalidKeyId`). Throws nothing else.
 */
export function parsePresignedUrl(request: PresignedRequest, nowMs: number): RequestSignature {
  const { pairs, malformed } = parseQuery(request.target);
  if (malformed) throw refused('the query string is malformed');
  if (pairs.length > MAX_PARAMETERS) throw refused(`more than ${MAX_PARAMETERS} query parameters`);
  const given = new Map(pairs);
  if (given.size !== pairs.length) throw refused('a query parameter was given more than once');

  const methods = (given.get('method') || request.method).split(/[ \t]*,[ \t]*/).sort();
  if (!methods.includes(request.method)) throw refused(`${request.method} was not a signed method`);
  const missing = REQUIRED.filter(name => !given.get(name));
  if (missing.length > 0) throw refused(`parameters "${missing.join(', ')}" are required`);
  checkExpires(given.get('expires') ?? '', nowMs);
  const algorithm = (given.get('algorithm') ?? '').toLowerCase();
  if (statusOfAlgorithm(algorithm) !== 'supported') {
    throw refused(`${algorithm.toUpperCase()} is not a supported signing algorithm`);
  }

  const head = `${methods.join(',')}\n${request.host}\n${pathOf(request.target)}\n`;
  return {
    keyId: parseKeyId(given.get('keyId') ?? ''),
    algorithm,
    signingStrings: signingStrings(head, pairs),
    signature: Buffer.from(given.get('signature') ?? '', 'base64'),
  };
}

function checkExpires(expires: string, nowMs: number): void {
  if (!/^[0-9]+$/.test(expires)) throw refused('expires is invalid');
  if (Number(expires) < Math.floor(nowMs / 1000)) throw refused('request expired');
}

const collator = new Intl.Collator('en');

/** Clients sort names by bytes or, those in JavaScript, by locale: one text when both orders agree, else two. */
function signingStrings(head: string, pairs: readonly Pair[]): readonly [string, ...string[]] {
  const signed = pairs.filter(([name]) => name !== 'signature');
  const byBytes = head + encodeQuery(signed.toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  const byLocale = head + encodeQuery(signed.toSorted(([a], [b]) => collator.compare(a, b)));
  return byBytes === byLocale ? [byBytes] : [byBytes, byLocale];
}

function encodeQuery(pairs: readonly Pair[]): string {
  return pairs.map(([name, value]) => `${encodeRfc3986(name)}=${encodeRfc3986(value)}`).join('&');
}

function encodeRfc3986(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function pathOf(target: string): string {
  const cut = target.indexOf('?');
  return cut === -1 ? target : target.slice(0, cut);
}

/** Every pair of the query, decoded. Pairs that cannot be decoded are kept raw and reported as malformed. */
function parseQuery(target: string): { readonly pairs: readonly Pair[]; readonly malformed: boolean } {
  let malformed = false;
  const decode = (text: string): string => {
    try {
      return decodeURIComponent(text.replaceAll('+', ' '));
    } catch {
      malformed = true;
      return text;
    }
  };
  const cut = target.indexOf('?');
  const parts = cut === -1 ? [] : target.slice(cut + 1).split('&');
  const pairs = parts
    .filter(part => part !== '')
    .map((part): Pair => {
      const equals = part.indexOf('=');
      return equals === -1 ? [decode(part), ''] : [decode(part.slice(0, equals)), decode(part.slice(equals + 1))];
    });
  return { pairs, malformed };
}

function refused(message: string): MantaError {
  return new MantaError('InvalidQueryStringAuthentication', message);
}
