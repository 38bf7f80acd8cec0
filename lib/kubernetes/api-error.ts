import { MantaError } from '../errors/manta-error.ts';

/** One of the causes that the server names, for example the field that is invalid. */
export interface ApiCause {
  readonly reason?: string;
  readonly message?: string;
  readonly field?: string;
}

/**
 * A request that the API server refused or did not answer. `code` is `Api` and the server's reason: `ApiNotFound`,
 * `ApiConflict`, `ApiAlreadyExists`, `ApiInvalid`, `ApiForbidden`, `ApiExpired`, `ApiTooManyRequests`, … Without an
 * answer it is `ApiUnreachable` (no connection, or it broke) or `ApiDeadline` (no answer in time), and there is no
 * status; a request that writes may then have been carried out.
 */
export class ApiError extends MantaError {
  /** HTTP status, where there was an answer. */
  readonly status?: number;
  /** The server's word for it: `metav1.StatusReason`. */
  readonly reason: string;
  readonly causes: readonly ApiCause[];

  constructor(
    reason: string,
    message: string,
    options: {
      readonly status?: number;
      readonly causes?: readonly ApiCause[];
      readonly retryAfterS?: number;
      readonly cause?: unknown;
    } = {},
  ) {
    super(`Api${reason}`, message, options);
    this.reason = reason;
    this.causes = options.causes ?? [];
    if (options.status !== undefined) this.status = options.status;
  }
}

/** Someone else changed the object first: read again and decide again. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.reason === 'Conflict';
}

/** The version that was asked for is no longer kept: list again (HTTP 410). */
export function isExpired(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 410 || error.reason === 'Expired' || error.reason === 'Gone');
}

/** What the server has not refused but failed at; the same request may succeed later. */
export function isPassing(error: unknown): boolean {
  return error instanceof ApiError && (error.status === undefined || error.status === 429 || error.status >= 500);
}

/** Reasons of answers that do not name theirs, as client-go guesses them. */
const REASON_OF: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  410: 'Gone',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

/** The failure that an answer tells: a `metav1.Status`, or whatever a proxy on the way has written. */
export function apiErrorOf(answer: {
  readonly status: number;
  readonly text: string;
  readonly retryAfterS?: number;
  /** What was asked, for the message. */
  readonly request: string;
}): ApiError {
  const { status, text, request } = answer;
  const told = parseStatus(text);
  const reason = told.reason || REASON_OF[status] || 'Unknown';
  const message = told.message || text.slice(0, 200).trim() || `HTTP ${status}`;
  const retryAfterS = answer.retryAfterS ?? told.details?.retryAfterSeconds;
  return new ApiError(reason, `${request}: ${message}`, {
    status,
    causes: told.details?.causes ?? [],
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
  });
}

interface Status {
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: readonly ApiCause[]; readonly retryAfterSeconds?: number };
}

function parseStatus(text: string): Status {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && 'kind' in parsed && parsed.kind === 'Status') {
      return parsed as Status;
    }
  } catch {
    // Not the API server's own words.
  }
  return {};
}
