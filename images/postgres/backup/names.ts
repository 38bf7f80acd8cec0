import { historyName } from '../pg/history-file.ts';

/** What a target holds is named here, and nowhere else. */

export const SYSTEM = 'system.json';
export const BASES = 'base';
export const WAL = 'wal';
export const TIMELINES = 'timelines';

export const basePath = (name: string) => `${BASES}/${name}`;
/** The data directory as one compressed tar, PostgreSQL's manifest in it. */
export const baseContent = (name: string) => `${basePath(name)}/base.tar.zst`;
/** Written last: without it a base backup does not count. */
export const baseMark = (name: string) => `${basePath(name)}/backup.json`;
export const historyPath = (timeline: number) => `${TIMELINES}/${historyName(timeline)}`;

/** A file of WAL: complete, or as far as `endByte`, which is then in its name, so that none is ever written twice. */
export interface SegmentName {
  readonly timeline: number;
  /** Place in the WAL: its first byte's position, divided by the size of a file. */
  readonly number: bigint;
  readonly endByte?: number | undefined;
}

/** `<directory>/<name>`; a directory holds the files of 4 GiB. */
export function segmentPath(segment: SegmentName, segmentBytes: number): string {
  const name = segmentFile(segment, segmentBytes);
  const end = segment.endByte === undefined ? '' : `.${segment.endByte}.partial`;
  return `${WAL}/${name.slice(0, 16)}/${name}${end}.zst`;
}

/** PostgreSQL's own name of it. */
export function segmentFile({ timeline, number }: SegmentName, segmentBytes: number): string {
  const each = perDirectory(segmentBytes);
  return hex(BigInt(timeline)) + hex(number / each) + hex(number % each);
}

/** Reads PostgreSQL's name of a file of WAL; undefined when it is none. */
export function parseSegmentFile(name: string, segmentBytes: number): SegmentName | undefined {
  const match = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})$/.exec(name);
  if (match === null) return undefined;
  const [timeline, high, low] = match.slice(1).map(part => BigInt(`0x${part}`)) as [bigint, bigint, bigint];
  return { timeline: Number(timeline), number: high * perDirectory(segmentBytes) + low };
}

/** Reads a name in a directory of the target. */
export function parseStoredSegment(name: string, segmentBytes: number): SegmentName | undefined {
  const match = /^([0-9A-F]{24})(?:\.(\d+)\.partial)?\.zst$/.exec(name);
  const segment = match === null ? undefined : parseSegmentFile(match[1] ?? '', segmentBytes);
  const endByte = match?.[2] === undefined ? undefined : Number(match[2]);
  return segment === undefined || endByte === undefined ? segment : { ...segment, endByte };
}

/** Reads the name of a directory of WAL: the numbers of its files lie from `first` to `last`. */
export function parseWalDirectory(
  name: string,
  segmentBytes: number,
): { readonly timeline: number; readonly first: bigint; readonly last: bigint } | undefined {
  const segment = parseSegmentFile(`${name}00000000`, segmentBytes);
  if (segment === undefined) return undefined;
  const { timeline, number } = segment;
  return { timeline, first: number, last: number + perDirectory(segmentBytes) - 1n };
}

/** Reads the name of a history file. */
export function parseHistoryFile(name: string): number | undefined {
  const match = /^([0-9A-F]{8})\.history$/.exec(name);
  return match === null ? undefined : Number.parseInt(match[1] ?? '', 16);
}

function perDirectory(segmentBytes: number): bigint {
  return 0x1_0000_0000n / BigInt(segmentBytes);
}

function hex(value: bigint): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}
