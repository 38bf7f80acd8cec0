import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { DirectoryAttributes } from '../../../lib/metadata/types.ts';
import {
  concurrentRequest,
  type EntryCall,
  expectationOf,
  missingParent,
  originEcho,
  requireNoRoleTags,
  requireParentDirectory,
  type Services,
} from '../entry-call.ts';
import { sameHeaders, storedHeadersOf } from '../stored-headers.ts';

/**
 * PUT of a directory: idempotent, replaces an object of that name, and makes no parents. Conditional headers guard the
 * write without being answered 412. http-api.md §5.1.
 */
export async function makeDirectory(call: EntryCall, services: Services): Promise<void> {
  const { metadata, responder } = services;
  requireParentDirectory(call);
  requireNoRoleTags(call);
  const attributes: DirectoryAttributes = {
    owner: call.owner.uuid,
    creator: callerUuid(call),
    headers: storedHeadersOf(call.exchange.request.headers),
    roles: [],
  };
  if (call.endpoint.isRoot) await writeRoot(call, attributes, services);
  else {
    // Even where nothing would change: that the entry stands does not mean that its removal has not begun.
    const result = await metadata.mkdir(call.place, attributes, expectationOf(call));
    if (result.kind === 'no_directory') throw missingParent(call);
    if (result.kind === 'precondition') throw concurrentRequest(call);
  }
  responder.empty(call.exchange, 204, originEcho(call));
}

/** Gives a root an entry, or its entry other headers. Nobody removes a root. */
async function writeRoot(call: EntryCall, attributes: DirectoryAttributes, { metadata }: Services): Promise<void> {
  if (isUnchanged(call, attributes)) return;
  const result = await metadata.putRoot(call.place, attributes);
  if (result.kind !== 'updated') throw concurrentRequest(call);
}

/** The account that will have made the entry. */
export function callerUuid(call: EntryCall): DirectoryAttributes['creator'] {
  if (call.caller.kind === 'account') return call.caller.account.uuid;
  throw new MantaError('AuthorizationFailed', `anonymous is not allowed to access ${call.target.path}`);
}

function isUnchanged({ entry }: EntryCall, attributes: DirectoryAttributes): boolean {
  if (entry?.kind !== 'directory') return false;
  return entry.owner === attributes.owner && sameHeaders(entry.headers, attributes.headers);
}
