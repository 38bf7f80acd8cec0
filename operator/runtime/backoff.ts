/** Bounds of waiting between failures, in milliseconds. */
export interface BackoffConfig {
  /** After the first failure. */
  readonly baseMs: number;
  readonly maxMs: number;
}

/** How long to wait after so many failures in a row: doubles from `baseMs` up to `maxMs`. None after none. */
export function backoffMs(failures: number, { baseMs, maxMs }: BackoffConfig): number {
  return failures === 0 ? 0 : Math.min(maxMs, baseMs * 2 ** Math.min(failures - 1, 30));
}
