import { MantaError } from '../../lib/errors/manta-error.ts';

interface CatalogueEntry {
  readonly status: number;
  /** The code on the wire where it differs from the internal one. */
  readonly code?: string;
  /** Seconds of the `Retry-After` header; every 503 has one. */
  readonly retryAfterS?: number;
  /** Replaces the message, so that nothing internal leaks. */
  readonly message?: string;
  /** What makes the server answer so; the reference page is checked against it. */
  readonly when: string;
}

/**
 * Every error that the public API answers with: http-api.md §4. The only place that maps codes to HTTP.
 * docs/errors.md repeats it for users; a test fails when they disagree.
 */
export const CATALOGUE: Readonly<Record<string, CatalogueEntry>> = {
  BadRequest: { status: 400, when: 'malformed HTTP, `Content-MD5` or `Content-Disposition`' },
  ContentMD5Mismatch: { status: 400, when: 'the body differs from its `Content-MD5`' },
  DirectoryNotEmpty: { status: 400, when: 'DELETE of a directory with entries' },
  InvalidArgumentError: { status: 400, when: '`limit` of a listing is not an integer from 1 to 1024' },
  InvalidDurabilityLevel: { status: 400, when: 'the number of copies asked for is out of range' },
  InvalidHeader: { status: 400, when: 'malformed `Authorization`, unknown signature algorithm, unreadable date' },
  InvalidLink: { status: 400, when: '`Location` of a snaplink is not the path of an object' },
  InvalidMaxContentLength: { status: 400, when: '`max-content-length` is not a number of bytes' },
  InvalidParameter: { status: 400, when: '`marker` of a listing by time is not a date' },
  InvalidResource: { status: 400, when: 'a path with a malformed escape, invalid UTF-8, `.`, `..`, or beyond a limit' },
  InvalidUpdate: { status: 400, when: 'a metadata update, or a PUT onto a directory, that describes a body' },
  LinkNotObject: { status: 400, when: 'the source of a snaplink is a directory' },
  LocationRequired: { status: 400, when: 'a snaplink without `Location`' },
  OperationNotAllowedOnDirectory: { status: 400, when: 'PUT of an object or snaplink over a directory' },
  OperationNotAllowedOnRootDirectory: { status: 400, when: 'a root directory can neither be replaced nor deleted' },
  ParentNotDirectory: { status: 400, when: 'the parent in the path is an object' },
  RequestExpired: { status: 400, when: 'the signed date is more than 300 s off, in either direction' },
  InvalidAlgorithm: { status: 401, when: 'a signature algorithm that is known but disabled (DSA)' },
  AccountBlocked: { status: 403, when: 'the account of the caller or in the path is not active' },
  AccountDoesNotExist: { status: 403, when: 'the account of the caller or in the path is unknown' },
  AuthorizationFailed: { status: 403, when: 'the caller may not do this' },
  AuthorizationSchemeNotAllowed: { status: 403, when: 'an `Authorization` scheme other than `Signature`' },
  InvalidAuthenticationToken: { status: 403, when: 'an authentication token that is malformed or expired' },
  InvalidKeyId: { status: 403, when: 'a `keyId` of the wrong shape' },
  InvalidQueryStringAuthentication: { status: 403, when: 'a presigned URL that is incomplete, expired or misused' },
  InvalidSignature: { status: 403, when: 'the signature does not match the request' },
  KeyDoesNotExist: { status: 403, when: 'the account has no such key' },
  QueryParameterForbidden: { status: 403, when: 'listing parameters that only operators may use' },
  SecureTransportRequired: { status: 403, when: 'a signed request over plain HTTP' },
  SnaplinksDisabledError: {
    status: 403,
    when: 'snaplinks are disabled for the account of the caller or of the source',
  },
  UserDoesNotExist: { status: 403, when: 'a `keyId` that names an unknown user of the account' },
  DirectoryDoesNotExist: { status: 404, when: 'the parent directory does not exist' },
  ResourceNotFound: {
    status: 404,
    when: 'nothing is there, or the path is of a feature that this region does not have',
  },
  SourceObjectNotFound: { status: 404, when: 'the source of a snaplink, or its account, does not exist' },
  MethodNotAllowed: { status: 405, when: 'the path does not know the method; `Allow` lists those it knows' },
  NotAcceptable: { status: 406, when: '`Accept` excludes the type of the object' },
  RequestTimeout: { status: 408, when: 'request headers took longer than 60 s; the connection is closed' },
  UploadTimeout: { status: 408, when: 'a body that stood still for 45 s; the connection is closed' },
  ConcurrentRequest: { status: 409, when: 'somebody else changed the entry of a conditional request meanwhile' },
  DirectoryLimitExceeded: { status: 409, when: 'a new object in a directory with more than 1,000,000 entries' },
  InvalidRole: { status: 409, when: 'the `Role` header names an unknown role' },
  InvalidRoleTag: { status: 409, when: '`role-tag` names an unknown role' },
  PreconditionFailed: { status: 412, when: 'a conditional header does not hold' },
  MaxContentLengthExceeded: {
    status: 413,
    when: 'a chunked body longer than `max-content-length` or the streaming maximum',
  },
  RequestedRangeNotSatisfiable: { status: 416, when: 'no byte of the object is in `Range`, or it cannot be read' },
  RequestHeaderFieldsTooLarge: { status: 431, when: 'request headers beyond 64 KiB; the connection is closed' },
  UploadAbandoned: { status: 499, when: 'the client went away during its upload; only in the access log' },
  InternalError: { status: 500, message: 'an unexpected error occurred', when: 'anything else' },
  NotImplemented: { status: 501, when: 'several ranges in one request' },
  SharksExhausted: {
    status: 503,
    code: 'InternalError',
    retryAfterS: 30,
    message: 'No storage nodes available for this request',
    when: 'the storage nodes chosen for an upload do not answer',
  },
  ServiceUnavailable: {
    status: 503,
    retryAfterS: 2,
    message: 'manta is unable to serve this request',
    when: 'a part of the region that the request needs is down, or the server is stopping',
  },
  ThrottledError: {
    status: 503,
    retryAfterS: 1,
    message: 'manta throttled this request',
    when: 'more requests at once than the server is set to take',
  },
  NotEnoughSpace: { status: 507, when: 'no set of storage nodes has room for the copies' },
};

/** Message of UploadAbandoned; only the access log shows it. */
export const CLIENT_WENT_AWAY = 'request was aborted prematurely by the client';

/** An error as it goes over the wire. */
export interface WireError {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly retryAfterS?: number;
}

/** What a client is told about anything thrown. A code that the catalogue does not know becomes InternalError. */
export function wireErrorOf(error: unknown): WireError {
  const known = error instanceof MantaError && Object.hasOwn(CATALOGUE, error.code) ? error : undefined;
  const code = known?.code ?? 'InternalError';
  const entry = CATALOGUE[code] as CatalogueEntry;
  const retryAfterS = entry.retryAfterS === undefined ? undefined : (known?.retryAfterS ?? entry.retryAfterS);
  return {
    status: entry.status,
    code: entry.code ?? code,
    message: entry.message ?? known?.message ?? '',
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
  };
}
