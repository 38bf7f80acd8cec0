import type { AccountView } from '../../../lib/auth/types.ts';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import { placeOf } from '../../../lib/metadata/path.ts';
import type { LinkResult, ObjectEntry, Place } from '../../../lib/metadata/types.ts';
import { authorize } from '../auth/authorize.ts';
import { STORAGE_ROOTS } from '../endpoint.ts';
import {
  currentRecordOf,
  directoryRefusal,
  type EntryCall,
  httpDate,
  missingParent,
  originEcho,
  requireConditions,
  requireNoRoleTags,
  requireParentDirectory,
  rootRefusal,
  type Services,
  WRITE_ATTEMPTS,
} from '../entry-call.ts';
import { parseTarget } from '../target.ts';

interface Source {
  /** As the client wrote it: what messages name. */
  readonly location: string;
  readonly owner: AccountView;
  readonly place: Place;
  readonly root: string;
}

/**
 * PUT of a snaplink: a second name for the data of an object, at once and for good. Checks in the order of http-api.md
 * §7; conditional headers are compared with the source.
 */
export async function putLink(call: EntryCall, services: Services): Promise<void> {
  requireSnaplinks(call.caller.kind === 'account' ? call.caller.account : undefined, 'this account');
  if (call.endpoint.isRoot) throw rootRefusal(call);
  if (call.entry?.kind === 'directory') throw directoryRefusal(call);
  requireParentDirectory(call);
  const source = await resolveSource(call, services);
  requireNoRoleTags(call);

  for (let attempt = 1; attempt <= WRITE_ATTEMPTS; attempt += 1) {
    const seen = await readSource(call, source, services);
    const result = await linkOnce(call, source, seen, services);
    if (result.kind === 'source_gone') continue;
    requireLinked(call, result);
    services.responder.empty(call.exchange, 204, {
      etag: seen.etag,
      'last-modified': httpDate(seen.mtimeMs),
      ...originEcho(call),
    });
    return;
  }
  throw sourceNotFound(source.location);
}

function linkOnce(call: EntryCall, source: Source, seen: ObjectEntry, { metadata }: Services): Promise<LinkResult> {
  const { place, owner } = call;
  if (place.dir === source.place.dir && place.name === source.place.name) {
    return Promise.resolve({ kind: 'unchanged', mtimeMs: seen.mtimeMs });
  }
  return metadata.link(source.place, seen, place, { owner: owner.uuid, roles: [] });
}

function requireLinked(call: EntryCall, result: Exclude<LinkResult, { kind: 'source_gone' }>): void {
  switch (result.kind) {
    case 'no_directory':
      throw missingParent(call);
    case 'is_directory':
      throw directoryRefusal(call);
    case 'expired':
      throw new MantaError('ServiceUnavailable', 'the link could not be written in time');
    default:
  }
}

/** The object that `Location` names, as it is now, if the caller may read it. */
async function readSource(call: EntryCall, source: Source, { metadata }: Services): Promise<ObjectEntry> {
  const entry = await metadata.get(source.place, { signal: call.exchange.signal });
  if (entry === undefined) throw sourceNotFound(source.location);
  if (entry.kind !== 'object') throw new MantaError('LinkNotObject', `${source.location} is not an object`);
  const decision = authorize({
    caller: call.caller,
    owner: source.owner,
    action: 'getobject',
    isPublic: source.root === 'public',
  });
  if (decision.kind === 'deny') {
    throw new MantaError('AuthorizationFailed', `${call.owner.login} is not allowed to access ${source.location}`);
  }
  requireConditions(call, currentRecordOf(entry, false));
  return entry;
}

async function resolveSource(call: EntryCall, { accounts }: Services): Promise<Source> {
  const { location } = call.exchange.request.headers;
  if (!location) throw new MantaError('LocationRequired', 'An HTTP Location header must be specified');
  const parsed = parseTarget(location);
  const [root = '', ...names] = parsed.kind === 'ok' ? parsed.target.segments : [];
  if (parsed.kind === 'invalid' || !isStorageTree(root)) throw invalidLink(location);
  const owner = await accounts.byLogin(parsed.target.login);
  if (owner === undefined) throw sourceNotFound(location);
  requireSnaplinks(owner, 'owner of source object');
  if (names.length === 0) throw new MantaError('LinkNotObject', `${location} is not an object`);
  const place = placeOf(owner.uuid, parsed.target.segments);
  if (place === undefined) throw invalidLink(location);
  return { location, owner, place, root };
}

function isStorageTree(root: string): boolean {
  return (STORAGE_ROOTS as readonly string[]).includes(root);
}

function requireSnaplinks(account: AccountView | undefined, who: 'this account' | 'owner of source object'): void {
  if (account?.snaplinksDisabled !== true) return;
  const message =
    who === 'this account'
      ? 'snaplinks have been disabled for this account'
      : 'owner of source object has snaplinks disabled';
  throw new MantaError('SnaplinksDisabledError', message);
}

function invalidLink(location: string): MantaError {
  return new MantaError('InvalidLink', `${location} is an invalid link`);
}

function sourceNotFound(location: string): MantaError {
  return new MantaError('SourceObjectNotFound', `${location} was not found`);
}
