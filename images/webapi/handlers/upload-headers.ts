import type { IncomingHttpHeaders } from 'node:http';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import { normalizeDisposition } from '../content-disposition.ts';

/** What the headers of an object PUT say about its body. http-api.md §6.1. */
export interface BodyDeclaration {
  /** Undefined for a chunked body. Absent altogether means an empty object. */
  readonly sizeBytes: number | undefined;
  /** Bound of a chunked body as the client set it. */
  readonly maxBytes: number | undefined;
  /** base64 of 16 bytes. */
  readonly md5: string | undefined;
  readonly copies: number;
}

/** Checks them in the order that clients know. Throws InvalidMaxContentLength, BadRequest, InvalidDurabilityLevel. */
export function parseBodyDeclaration(
  headers: IncomingHttpHeaders,
  copies: { readonly default: number; readonly max: number },
): BodyDeclaration {
  const isChunked = headers['transfer-encoding'] !== undefined;
  return {
    sizeBytes: isChunked ? undefined : Number(headers['content-length'] ?? 0),
    maxBytes: isChunked ? parseMaxLength(headers['max-content-length']) : undefined,
    md5: parseMd5(headers['content-md5']),
    copies: parseCopies(headers, copies),
  };
}

/** The number of copies asked for. Throws InvalidDurabilityLevel. */
export function parseCopies(
  headers: IncomingHttpHeaders,
  copies: { readonly default: number; readonly max: number },
): number {
  const text = headers['durability-level'] ?? headers['x-durability-level'];
  if (text === undefined) return copies.default;
  const level = /^\s*\d+\s*$/.test(String(text)) ? Number(text) : 0;
  if (level >= 1 && level <= copies.max) return level;
  throw new MantaError('InvalidDurabilityLevel', `durability-level must be between 1 and ${copies.max}`);
}

/** The stored form of `Content-Disposition`; undefined when none was sent. Throws BadRequest. */
export function parseDisposition(headers: IncomingHttpHeaders): string | undefined {
  const header = headers['content-disposition'];
  if (!header) return undefined;
  const normalized = normalizeDisposition(header);
  if (normalized === undefined) throw new MantaError('BadRequest', `Content-Disposition "${header}" is invalid`);
  return normalized;
}

function parseMaxLength(header: string | readonly string[] | undefined): number | undefined {
  if (header === undefined) return undefined;
  const text = String(header).trim();
  const bytes = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new MantaError('InvalidMaxContentLength', `${text} is an invalid max-content-length value`);
}

function parseMd5(header: string | readonly string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  const text = String(header).trim();
  if (/^[A-Za-z0-9+/]{22}==$/.test(text)) return text;
  throw new MantaError('BadRequest', 'Content-MD5 invalid');
}
