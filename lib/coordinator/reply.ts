/**
 * What became of one call. `unsent`: it never left this process, or met a server that can do nothing. `refused`: the server answered that it did not do it.
 * `unanswered`: it was sent, and whether the server did it, or will, nobody knows.
 */
export type Reply<T> =
  | { readonly kind: 'answered'; readonly value: T }
  | { readonly kind: 'unsent' | 'unanswered'; readonly message: string }
  /** `isStale`: for the token or password the call carried, not for the call. */
  | { readonly kind: 'refused'; readonly message: string; readonly isStale: boolean };
