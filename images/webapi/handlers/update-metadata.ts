import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { Entry, MetadataPatch, UpdateResult } from '../../../lib/metadata/types.ts';
import { isGuarded } from '../conditions.ts';
import {
  concurrentRequest,
  currentRecordOf,
  type EntryCall,
  expectationOf,
  httpDate,
  notFound,
  originEcho,
  requireConditions,
  requireNoRoleTags,
  requireParentDirectory,
  rootRefusal,
  type Services,
  WRITE_ATTEMPTS,
} from '../entry-call.ts';
import { storedHeadersOf, storedObjectHeadersOf } from '../stored-headers.ts';
import { LISTING_TYPE } from './list-directory.ts';
import { callerUuid } from './make-directory.ts';
import { parseCopies, parseDisposition } from './upload-headers.ts';

/**
 * PUT with `?metadata`: replaces what clients may change on an object, a directory or a root, and nothing else; size,
 * digest, etag and copies stay. http-api.md §6.2.
 */
export async function updateMetadata(call: EntryCall, services: Services): Promise<void> {
  const { exchange, endpoint } = call;
  requireConditions(call, currentRecordOf(call.entry, endpoint.isRoot));
  if (endpoint.isRoot && call.contentType !== undefined && call.contentType !== LISTING_TYPE) throw rootRefusal(call);
  refuseBodyHeaders(call);
  parseCopies(exchange.request.headers, services.config.copies);
  const contentDisposition = parseDisposition(exchange.request.headers);
  requireNoRoleTags(call);
  if (call.entry === undefined && !endpoint.isRoot) throw notFound(call);
  requireParentDirectory(call);

  const isConditional = isGuarded(exchange.request.headers);
  let entry = call.entry;
  for (let attempt = 1; ; attempt += 1) {
    const result = await updateOnce(call, entry, contentDisposition, services);
    if (result.kind === 'updated') {
      services.responder.empty(exchange, 204, { 'last-modified': httpDate(result.mtimeMs), ...originEcho(call) });
      return;
    }
    if (result.kind === 'absent') throw notFound(call);
    if (isConditional || attempt === WRITE_ATTEMPTS) throw concurrentRequest(call);
    entry = await services.metadata.get(call.place, { signal: exchange.signal });
    if (entry === undefined && !endpoint.isRoot) throw notFound(call);
  }
}

function updateOnce(
  call: EntryCall,
  entry: Entry | undefined,
  contentDisposition: string | undefined,
  { metadata }: Services,
): Promise<UpdateResult> {
  const { headers } = call.exchange.request;
  if (entry?.kind === 'object') {
    const patch: MetadataPatch = {
      headers: storedObjectHeadersOf(headers, call.endpoint.root === 'public'),
      roles: [],
      ...(call.contentType === undefined ? {} : { contentType: call.contentType }),
      ...(contentDisposition === undefined ? {} : { contentDisposition }),
    };
    return metadata.updateMetadata(call.place, patch, entry, expectationOf(call));
  }
  const stored = storedHeadersOf(headers);
  if (entry !== undefined) {
    return metadata.updateMetadata(call.place, { headers: stored, roles: [] }, entry, expectationOf(call));
  }
  const attributes = { owner: call.owner.uuid, creator: callerUuid(call), headers: stored, roles: [] };
  return metadata.putRoot(call.place, attributes);
}

/** What describes a body cannot be changed; HTTP libraries add `Content-Length: 0` by themselves. */
function refuseBodyHeaders(call: EntryCall): void {
  const { headers } = call.exchange.request;
  const { 'content-length': length } = headers;
  const offending =
    length !== undefined && length !== '0'
      ? 'content-length'
      : ['content-md5', 'durability-level'].find(name => headers[name] !== undefined);
  if (offending !== undefined) throw new MantaError('InvalidUpdate', `overwrite of "${offending}" forbidden`);
}
