import { type Lsn, lsn } from '../../../lib/shard/lsn.ts';

const PAGE = 8192n;
const PAGE_HEADER = 24n;
const SEGMENT_HEADER = 40n;
const ALIGN = 8n;

/**
 * Where a WAL record of `length` bytes (without page headers) that begins at `start` ends: where the next one may begin,
 * but for a page header. This is what PostgreSQL reports as the position after it.
 */
export function recordEnd(start: Lsn, length: number, segmentBytes: number): Lsn {
  const segment = BigInt(segmentBytes);
  let at: bigint = start;
  let left = BigInt(length);
  for (;;) {
    const room = PAGE - (at % PAGE);
    if (left <= room) {
      at += left;
      break;
    }
    left -= room;
    at += room;
    at += headerAt(at, segment);
  }
  return lsn(((at + ALIGN - 1n) / ALIGN) * ALIGN);
}

/** Where the first record at or after a position may begin: behind the page header, if the position is a page's start. */
export function recordStart(position: Lsn, segmentBytes: number): Lsn {
  return lsn(position + (position % PAGE === 0n ? headerAt(position, BigInt(segmentBytes)) : 0n));
}

function headerAt(pageStart: bigint, segment: bigint): bigint {
  return pageStart % segment === 0n ? SEGMENT_HEADER : PAGE_HEADER;
}

/** Name of the file in pg_wal that holds the byte at a position. */
export function segmentName(timeline: number, position: Lsn, segmentBytes: number): string {
  const hex = (value: bigint) => value.toString(16).toUpperCase().padStart(8, '0');
  const number = position / BigInt(segmentBytes);
  const perId = 0x1_0000_0000n / BigInt(segmentBytes);
  return hex(BigInt(timeline)) + hex(number / perId) + hex(number % perId);
}
