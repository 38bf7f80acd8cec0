import { once } from 'node:events';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import { childrenOf } from '../../../lib/metadata/path.ts';
import type { ListedEntry, ListQuery } from '../../../lib/metadata/types.ts';
import { replayedHeaders } from '../cors.ts';
import type { EntryCall, Services } from '../entry-call.ts';

/** Clients compare this text verbatim: http-api.md §5.2. */
export const LISTING_TYPE = 'application/x-json-stream; type=directory';

const DEFAULT_LIMIT = 256;
const MAX_LIMIT = 1024;
/** Lines are gathered to pieces of about this many characters, so that a long page is neither one write nor a thousand. */
const PIECE_CHARACTERS = 65_536;

/** GET and HEAD of a directory: one page of its entries, and how many there are in all. http-api.md §5.2 and §5.3. */
export async function listDirectory(call: EntryCall, { metadata, responder }: Services): Promise<void> {
  const { exchange, entry, place } = call;
  const { request, response, signal } = exchange;
  const isHead = request.method === 'HEAD';
  const query = parseListQuery(call);
  exchange.isListing = true;

  const page = await metadata.list(childrenOf(place), isHead ? { ...query, limit: 1 } : query, { signal });
  responder.start(
    exchange,
    200,
    responder.headersOf(exchange, {
      'content-type': LISTING_TYPE,
      'result-set-size': page.total,
      ...replayedHeaders(entry?.headers ?? {}, request.method ?? 'GET', request.headers.origin),
    }),
  );
  if (isHead) {
    response.end();
    return;
  }
  exchange.bytesOut = 0;
  for (const piece of piecesOf(page.entries)) {
    exchange.bytesOut += piece.length;
    if (!response.write(piece)) await once(response, 'drain', { signal });
  }
  response.end();
}

/** As bytes: Node would encode the headers before a text in the text's own way, and theirs is Latin-1. */
function* piecesOf(entries: readonly ListedEntry[]): Generator<Buffer> {
  let lines = '';
  for (const listed of entries) {
    lines += `${lineOf(listed)}\n`;
    if (lines.length < PIECE_CHARACTERS) continue;
    yield Buffer.from(lines);
    lines = '';
  }
  if (lines !== '') yield Buffer.from(lines);
}

/** One entry as clients read it. Absent values are omitted; the order of fields is the contract's. */
export function lineOf(listed: ListedEntry): string {
  const mtime = new Date(listed.mtimeMs).toISOString();
  if (listed.kind === 'directory') return JSON.stringify({ name: listed.name, type: 'directory', mtime });
  return JSON.stringify({
    name: listed.name,
    etag: listed.etag,
    size: listed.sizeBytes,
    type: 'object',
    contentType: listed.contentType,
    contentDisposition: listed.contentDisposition,
    contentMD5: listed.md5,
    mtime,
    durability: listed.copies,
  });
}

function parseListQuery(call: EntryCall): ListQuery {
  const parameters = new URLSearchParams(call.target.query);
  const sort = sortOf(parameters.get('sort'));
  const skipOwnerCheck = parameters.get('skip_owner_check') === 'true';
  requireOperator(call, [
    ...(sort === 'none' ? ['sort=none'] : []),
    ...(skipOwnerCheck ? ['skip_owner_check=true'] : []),
  ]);
  const marker = parameters.get('marker');
  const only = classOf(parameters);
  return {
    sort,
    reverse: parameters.get('sort_order') === 'reverse',
    limit: limitOf(parameters.get('limit')),
    ...(marker ? { marker: markerOf(marker, sort) } : {}),
    ...(only === undefined ? {} : { only }),
    ...(skipOwnerCheck ? {} : { owner: call.owner.uuid }),
  };
}

function sortOf(text: string | null): ListQuery['sort'] {
  return text === 'mtime' || text === 'none' ? text : 'name';
}

function requireOperator(call: EntryCall, parameters: readonly string[]): void {
  if (parameters.length === 0 || (call.caller.kind === 'account' && call.caller.account.operator)) return;
  const list = parameters.join(', ');
  throw new MantaError('QueryParameterForbidden', `Use of these query parameters is restricted to operators: ${list}`);
}

function limitOf(text: string | null): number {
  if (text === null) return DEFAULT_LIMIT;
  const limit = /^\d+$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new MantaError('InvalidArgumentError', `limit=${text} is invalid: must be between [1, ${MAX_LIMIT}]`);
}

function markerOf(text: string, sort: ListQuery['sort']): string | number {
  const marker = sort === 'mtime' ? Date.parse(text) : text;
  // PostgreSQL's text knows no NUL, and neither does any name.
  if (Number.isNaN(marker) || text.includes('\0')) {
    throw new MantaError('InvalidParameter', `"${text}" is invalid for "marker"`);
  }
  return marker;
}

function classOf(parameters: URLSearchParams): ListQuery['only'] {
  const directories = parameters.has('dir') || parameters.has('directory');
  const objects = parameters.has('obj') || parameters.has('object');
  if (directories === objects) return undefined;
  return directories ? 'directory' : 'object';
}
