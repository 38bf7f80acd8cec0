import { MantaError } from '../../lib/errors/manta-error.ts';
import { isRootPlace, placeOf, placeOfDirectory } from '../../lib/metadata/path.ts';
import type { Entry, Place } from '../../lib/metadata/types.ts';
import { type Action, requireAuthorized } from './auth/authorize.ts';
import type { Authenticator, ParsedCredentials } from './auth/types.ts';
import { type Endpoint, OPTIONS_ACTIONS, route } from './endpoint.ts';
import { type EntryCall, type EntryHandler, firstName, httpDate, type Services } from './entry-call.ts';
import type { Exchange } from './exchange.ts';
import { ACCOUNT_ROOT_ACTIONS, type AccountRootMethod, answerAccountRoot } from './handlers/account-root.ts';
import { deleteEntry } from './handlers/delete-entry.ts';
import { listDirectory } from './handlers/list-directory.ts';
import { makeDirectory } from './handlers/make-directory.ts';
import { answerOptions } from './handlers/options.ts';
import { putLink } from './handlers/put-link.ts';
import { putObject } from './handlers/put-object.ts';
import { readObject, recordHeaders } from './handlers/read-object.ts';
import { updateMetadata } from './handlers/update-metadata.ts';
import { parentPath, parseTarget, queryParameter, type Target } from './target.ts';
import type { Throttle } from './throttle.ts';

type EntryEndpoint = Extract<Endpoint, { kind: 'entry' }>;

export interface PipelineDeps extends Services {
  readonly authenticator: Authenticator;
  readonly throttle: Throttle;
  /** False while the server starts or stops: `/ping` says so. */
  readonly isServing: () => boolean;
}

/**
 * Answers one request: the stages of http-api.md §2 in their order, which decides the answer when several things are
 * wrong. Throws MantaError for the error answer.
 */
export type Pipeline = (exchange: Exchange) => Promise<void>;

const HANDLERS: Readonly<Record<EntryEndpoint['verb'], EntryHandler>> = {
  get: read,
  head: read,
  delete: deleteEntry,
  options: answerOptions,
  putobject: putObject,
  putmetadata: updateMetadata,
  putdirectory: makeDirectory,
  putlink: putLink,
};

export function createPipeline(deps: PipelineDeps): Pipeline {
  return async exchange => {
    const { target, endpoint, contentType } = routeRequest(exchange);
    if (endpoint.kind === 'ping') {
      if (!deps.isServing()) throw unavailable('the server is starting or stopping');
      deps.responder.empty(exchange, 200, { 'content-length': 0 });
      return;
    }
    const { request } = exchange;
    const parsed = deps.authenticator.parse({
      method: request.method ?? '',
      rawTarget: request.url ?? '',
      httpVersion: request.httpVersion,
      headers: request.headers,
    });
    requireSecureTransport(exchange, endpoint, parsed, deps);
    requireDependencies(endpoint, deps);
    const leave = await deps.throttle.enter(exchange.signal);
    try {
      const caller = await deps.authenticator.authenticate(parsed);
      exchange.caller = caller;
      const owner = await deps.authenticator.loadOwner(target.login, caller);
      exchange.owner = owner;
      requireNoRoles(exchange, target, parsed);
      if (endpoint.kind === 'accountRoot') {
        const action = ACCOUNT_ROOT_ACTIONS[request.method as AccountRootMethod];
        exchange.decision = requireAuthorized({ caller, owner, action, isPublic: false }, target.path);
        answerAccountRoot(exchange, target, deps.responder);
        return;
      }
      const isPresigned = parsed.kind === 'presigned';
      await answerEntry({ exchange, endpoint, target, contentType, isPresigned, caller, owner }, deps);
    } finally {
      leave();
    }
  };
}

/** Stages 1 and 2. */
function routeRequest(exchange: Exchange): { target: Target; endpoint: Endpoint; contentType: string | undefined } {
  const { request } = exchange;
  const { method = '', url = '' } = request;
  const parsed = parseTarget(url);
  if (parsed.kind === 'invalid') throw new MantaError('InvalidResource', `"${parsed.path}" is invalid`);
  const { target } = parsed;
  exchange.target = target;
  const routing = route(method, target, request.headers['content-type']);
  switch (routing.kind) {
    case 'unknown':
      throw new MantaError('ResourceNotFound', `${target.path} does not exist`);
    case 'wrongMethod':
      exchange.headers.allow = routing.allow;
      throw new MantaError('MethodNotAllowed', `${method} is not allowed`);
    case 'found':
      exchange.endpoint = routing.endpoint;
      return { target, endpoint: routing.endpoint, contentType: routing.contentType };
  }
}

/** Stage 6: over plain HTTP only presigned requests and public reads. */
function requireSecureTransport(
  exchange: Exchange,
  endpoint: Endpoint,
  parsed: ParsedCredentials,
  { config, sources }: PipelineDeps,
): void {
  if (config.insecureHttp || parsed.kind === 'presigned') return;
  if (endpoint.kind === 'entry' && endpoint.root === 'public' && isReading(endpoint)) return;
  const { headers, socket } = exchange.request;
  if (headers['x-forwarded-proto'] === 'https' && sources.isTrusted(socket.remoteAddress)) return;
  throw new MantaError('SecureTransportRequired', 'Manta requires a secure transport (SSL/TLS)');
}

function isReading({ verb }: EntryEndpoint): boolean {
  return verb === 'get' || verb === 'head' || verb === 'options';
}

/** Stage 7. */
function requireDependencies(endpoint: Endpoint, { metadata, accounts, transfers }: PipelineDeps): void {
  if (!accounts.isAvailable()) throw unavailable('identities are unavailable');
  if (endpoint.kind !== 'entry') return;
  if (!metadata.isAvailable()) throw unavailable('metadata is unavailable');
  if (endpoint.verb === 'putobject' && !transfers.canWrite()) throw unavailable('no storage node takes writes');
}

/** The end of stage 9. Roles do not exist yet, so no name of one is valid. */
function requireNoRoles(exchange: Exchange, target: Target, parsed: ParsedCredentials): void {
  const list = parsed.kind === 'presigned' ? queryParameter(target.query, 'role') : exchange.request.headers.role;
  const name = firstName(list);
  if (name !== undefined) throw new MantaError('InvalidRole', `Role "${name}" is invalid.`);
}

type Addressed = Omit<EntryCall, 'place' | 'entry' | 'siblings' | 'parent'>;

/** Stages 12 to 15. */
async function answerEntry(addressed: Addressed, deps: PipelineDeps): Promise<void> {
  const { exchange, endpoint, target, caller, owner } = addressed;
  const place = placeOf(owner.uuid, target.segments);
  if (place === undefined) throw new MantaError('InvalidResource', `"${target.path}" is invalid`);
  const call: EntryCall = { ...addressed, place, ...(await loadRecords(place, addressed, deps)) };
  const { entry } = call;
  if (entry?.kind === 'object') {
    exchange.objectId = entry.objectId;
    Object.assign(exchange.headers, recordHeaders(entry));
  } else if (entry !== undefined) {
    exchange.headers['last-modified'] = httpDate(entry.mtimeMs);
  }
  requireExistence(call);
  const request = { caller, owner, action: actionOf(endpoint, entry), isPublic: endpoint.root === 'public' };
  exchange.decision = requireAuthorized(request, target.path);
  await HANDLERS[endpoint.verb](call, deps);
}

/** Stage 12: the entry, and for what may create one, the directory that holds it. */
async function loadRecords(
  place: Place,
  { endpoint, exchange }: Addressed,
  { metadata }: PipelineDeps,
): Promise<Pick<EntryCall, 'entry' | 'siblings' | 'parent'>> {
  const { signal } = exchange;
  const { verb } = endpoint;
  const needsParent = verb !== 'get' && verb !== 'head' && verb !== 'delete' && !endpoint.isRoot;
  if (!needsParent) return { entry: await metadata.get(place, { signal }), siblings: 0, parent: undefined };
  const parentPlace = placeOfDirectory(place.dir);
  // A root is always a directory; what it holds matters to preflights alone.
  const skipsParent = isRootPlace(parentPlace) && verb !== 'options';
  const parentRead = skipsParent ? undefined : metadata.get(parentPlace, { signal });
  if (verb === 'putobject') {
    const [{ entry, siblings }, parent] = await Promise.all([metadata.getForWrite(place, { signal }), parentRead]);
    return { entry, siblings, parent };
  }
  const [entry, parent] = await Promise.all([metadata.get(place, { signal }), parentRead]);
  return { entry, siblings: 0, parent };
}

/** Stage 13, before authorisation on purpose: clients know that existence can be seen without permission. */
function requireExistence({ endpoint, target, place, entry, parent }: EntryCall): void {
  if (endpoint.isRoot || entry !== undefined) return;
  const { verb } = endpoint;
  if (verb === 'get' || verb === 'head' || verb === 'delete') {
    throw new MantaError('ResourceNotFound', `${target.path} was not found`);
  }
  if (parent === undefined && !isRootPlace(placeOfDirectory(place.dir))) {
    throw new MantaError('DirectoryDoesNotExist', `${parentPath(target.path)} does not exist`);
  }
}

function actionOf(endpoint: EntryEndpoint, entry: Entry | undefined): Action {
  const isObject = entry?.kind === 'object';
  switch (endpoint.verb) {
    case 'get':
    case 'head':
      return isObject ? 'getobject' : 'getdirectory';
    case 'delete':
      return isObject ? 'deleteobject' : 'deletedirectory';
    case 'options':
      return OPTIONS_ACTIONS[endpoint.root];
    case 'putobject':
    case 'putmetadata':
      return 'putobject';
    case 'putdirectory':
      return 'putdirectory';
    case 'putlink':
      return 'putlink';
  }
}

function read(call: EntryCall, services: Services): Promise<void> {
  return call.entry?.kind === 'object' ? readObject(call, call.entry, services) : listDirectory(call, services);
}

function unavailable(why: string): MantaError {
  return new MantaError('ServiceUnavailable', why);
}
