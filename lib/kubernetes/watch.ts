import type { Readable } from 'node:stream';
import { ApiError, apiErrorOf } from './api-error.ts';
import type { KubernetesObject, Stored } from './object.ts';

/** One line of a watch. */
export type WatchEvent<T extends KubernetesObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: Stored<T> }
  | {
      /** Everything up to this version has been told. */
      readonly type: 'BOOKMARK';
      readonly resourceVersion: string;
    };

/** An object has at most 1.5 MiB in etcd; JSON and the old state of a deleted one make it longer, never this long. */
const MAX_LINE_BYTES = 16 * 1_048_576;

/**
 * The events of a watch's body, one JSON object a line. Returns when the server ends the watch in order. Throws
 * ApiError for an ERROR event, and for a body that breaks off or falls silent.
 */
export async function* decodeWatch<T extends KubernetesObject>(body: Readable): AsyncGenerator<WatchEvent<T>> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      const tail = chunk.subarray(start, end);
      const line = parts.length === 0 ? tail : Buffer.concat([...parts, tail]);
      parts = [];
      length = 0;
      start = end + 1;
      if (line.length > 0) yield decodeEvent(line.toString('utf8'));
    }
    if (start < chunk.length) {
      parts.push(chunk.subarray(start));
      length += chunk.length - start;
      if (length > MAX_LINE_BYTES) throw new ApiError('ResponseTooLarge', 'an event of a watch is too long');
    }
  }
}

interface Line {
  readonly type: string;
  readonly object: {
    readonly metadata?: { readonly resourceVersion?: string };
    readonly code?: number;
  };
}

function decodeEvent<T extends KubernetesObject>(line: string): WatchEvent<T> {
  const { type, object } = JSON.parse(line) as Line;
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object: object as unknown as Stored<T> };
    case 'BOOKMARK':
      return { type, resourceVersion: object.metadata?.resourceVersion ?? '' };
    default:
      throw apiErrorOf({ status: object.code ?? 500, text: JSON.stringify(object), request: 'watch' });
  }
}
