/**
 * The one base class of failures. `code` is stable and is what callers match on; when the failure reaches the public
 * HTTP edge it is looked up in the edge's catalogue, and a code that the catalogue does not know becomes
 * `InternalError`, so that nothing internal leaks.
 *
 * Expected outcomes are values, not throws: a MantaError is for what the caller cannot go on from.
 */
export class MantaError extends Error {
  readonly code: string;
  /** Seconds after which a repeat makes sense; the edge's catalogue supplies one for every 503. */
  readonly retryAfterS?: number;

  constructor(code: string, message: string, options: { cause?: unknown; retryAfterS?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = code.endsWith('Error') ? code : `${code}Error`;
    this.code = code;
    if (options.retryAfterS !== undefined) this.retryAfterS = options.retryAfterS;
  }
}

/**
 * The stable code of anything thrown: a MantaError's code, a system error's `code`, or undefined. By shape and not by
 * class, because system errors of another realm are not instances of this one's Error.
 */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
