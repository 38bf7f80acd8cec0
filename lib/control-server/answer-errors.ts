import type { ErrorRequestHandler } from 'express';
import type { Logger } from 'pino';
import { codeOf, MantaError } from '../errors/manta-error.ts';

/** The errors of control ports, by code. What is not here is an InternalError. */
const STATUS: Readonly<Record<string, number>> = {
  BadRequest: 400,
  InvalidContent: 400,
  InvalidParameter: 400,
  InvalidToken: 401,
  TokenMismatch: 403,
  NodeRetired: 403,
  ResourceNotFound: 404,
  MethodNotAllowed: 405,
  EntityAlreadyExists: 409,
  IncarnationMismatch: 409,
  PayloadTooLarge: 413,
  ServiceUnavailable: 503,
};

/**
 * The last handler of a control port: answers anything thrown with `{"code","message"}`, and logs what is not the
 * caller's doing. An answer that has begun is broken off, so that nobody takes it for whole.
 */
export function answerErrors(deps: { readonly logger: Logger }): ErrorRequestHandler {
  return (thrown, request, response, _next) => {
    const error = knownError(thrown);
    const status = STATUS[error.code] ?? 500;
    if (status >= 500) {
      const facts = { err: thrown, method: request.method, path: request.path };
      deps.logger[status === 503 ? 'warn' : 'error'](facts, 'control request failed');
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (status === 503) response.set('retry-after', String(error.retryAfterS ?? 2));
    response.status(status).json({ code: error.code, message: error.message });
  };
}

function knownError(thrown: unknown): MantaError {
  if (thrown instanceof MantaError && Object.hasOwn(STATUS, thrown.code)) return thrown;
  switch (typeOf(thrown)) {
    case 'entity.parse.failed':
      return new MantaError('InvalidContent', 'the body is not JSON');
    case 'entity.too.large':
      return new MantaError('PayloadTooLarge', 'the body is too long');
  }
  // The router and the body readers mark what the caller did wrong with a status.
  if (codeOf(thrown) === undefined && isCallersFault(thrown)) return new MantaError('BadRequest', 'malformed request');
  return new MantaError('InternalError', 'an unexpected error occurred', { cause: thrown });
}

function typeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'type' in thrown ? thrown.type : undefined;
}

function isCallersFault(thrown: unknown): boolean {
  const status = thrown instanceof Error && 'status' in thrown ? thrown.status : undefined;
  return typeof status === 'number' && status >= 400 && status < 500;
}
