import type { Accounts, AccountView, Caller } from '../../lib/auth/types.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import type { Entry, Expect, Metadata, Place } from '../../lib/metadata/types.ts';
import { type CurrentRecord, evaluateConditions, isGuarded } from './conditions.ts';
import type { WebapiConfig } from './config.ts';
import type { Endpoint } from './endpoint.ts';
import type { Exchange, ResponseHeaders } from './exchange.ts';
import type { Responder } from './respond.ts';
import type { SourceAddresses } from './source-address.ts';
import { parentPath, queryParameter, type Target } from './target.ts';
import type { Transfers } from './transfer/types.ts';

/** What handlers work with. */
export interface Services {
  readonly metadata: Metadata;
  readonly transfers: Transfers;
  readonly accounts: Accounts;
  readonly clock: Clock;
  readonly responder: Responder;
  readonly sources: SourceAddresses;
  readonly config: WebapiConfig;
}

/** A request on an entry that has passed the pipeline: who, what, where, and the records as read. */
export interface EntryCall {
  readonly exchange: Exchange;
  readonly endpoint: Extract<Endpoint, { kind: 'entry' }>;
  readonly target: Target;
  readonly contentType: string | undefined;
  readonly isPresigned: boolean;
  readonly caller: Extract<Caller, { kind: 'account' }> | { readonly kind: 'anonymous' };
  readonly owner: AccountView;
  readonly place: Place;
  readonly entry: Entry | undefined;
  /** Entries of the directory that holds the target; 0 unless an object is to be written. */
  readonly siblings: number;
  /** The directory that holds the target; undefined for roots, where it was not asked for, and where there is none. */
  readonly parent: Entry | undefined;
}

/** A handler answers the request, or throws a MantaError of the catalogue. */
export type EntryHandler = (call: EntryCall, services: Services) => Promise<void>;

/** How often a write that met somebody else's starts over before it gives up: http-api.md §6.6. */
export const WRITE_ATTEMPTS = 3;

/** Epoch milliseconds as HTTP date. */
export function httpDate(ms: number): string {
  return new Date(ms).toUTCString();
}

/** What a writer in a browser gets to see: http-api.md §6.8. */
export function originEcho(call: EntryCall): ResponseHeaders {
  const { origin } = call.exchange.request.headers;
  return origin === undefined ? {} : { 'access-control-allow-origin': origin };
}

/** What conditional headers are compared with. A root without an entry exists all the same. */
export function currentRecordOf(entry: Entry | undefined, isRoot: boolean): CurrentRecord | undefined {
  if (entry === undefined) return isRoot ? { etag: undefined, mtimeMs: undefined } : undefined;
  return { etag: entry.kind === 'object' ? entry.etag : undefined, mtimeMs: entry.mtimeMs };
}

/** Throws PreconditionFailed when a conditional header of a write does not hold. */
export function requireConditions(call: EntryCall, current: CurrentRecord | undefined): void {
  const result = evaluateConditions(call.exchange.request.headers, current, false);
  if (result.kind === 'fails') throw new MantaError('PreconditionFailed', result.message);
}

/** With If-Match or If-None-Match a write is a compare-and-swap on the record as read; without, the last writer wins. */
export function expectationOf(call: EntryCall): Expect {
  if (!isGuarded(call.exchange.request.headers)) return { kind: 'any' };
  return call.entry === undefined ? { kind: 'absent' } : { kind: 'rev', rev: call.entry.rev };
}

/** Throws ParentNotDirectory. That there is a parent at all was the pipeline's check. */
export function requireParentDirectory(call: EntryCall): void {
  if (call.parent?.kind === 'object') {
    throw new MantaError('ParentNotDirectory', `${parentPath(call.target.path)} is not a directory`);
  }
}

/** Roles do not exist yet, so no name of one is valid. http-api.md §10.5. */
export function requireNoRoleTags(call: EntryCall): void {
  const list = call.isPresigned
    ? queryParameter(call.target.query, 'role-tag')
    : call.exchange.request.headers['role-tag'];
  const name = firstName(list);
  if (name !== undefined) throw new MantaError('InvalidRoleTag', `Role tag "${name}" is invalid.`);
}

/** The first name in a comma list, if it holds any. */
export function firstName(list: string | readonly string[] | undefined): string | undefined {
  if (list === undefined) return undefined;
  return String(list)
    .split(',')
    .map(name => name.trim())
    .find(name => name !== '');
}

export function missingParent(call: EntryCall): MantaError {
  return new MantaError('DirectoryDoesNotExist', `${parentPath(call.target.path)} does not exist`);
}

export function notFound(call: EntryCall): MantaError {
  return new MantaError('ResourceNotFound', `${call.target.path} was not found`);
}

export function concurrentRequest(call: EntryCall): MantaError {
  return new MantaError('ConcurrentRequest', `${call.target.path} was being concurrently updated`);
}

export function rootRefusal(call: EntryCall): MantaError {
  const { method = '' } = call.exchange.request;
  return new MantaError('OperationNotAllowedOnRootDirectory', `${method} is not allowed on ${call.target.path}`);
}

export function directoryRefusal(call: EntryCall): MantaError {
  const { method = '' } = call.exchange.request;
  return new MantaError(
    'OperationNotAllowedOnDirectory',
    `${call.target.path} is a directory: ${method} is not allowed`,
  );
}
