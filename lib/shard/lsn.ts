import { MantaError } from '../errors/manta-error.ts';

/** A position in the WAL, 64 bits. Positions compare only along one history (replication.md appendix B). */
export type Lsn = bigint & { readonly brand: 'lsn' };

const FORM = /^([0-9a-f]{1,16})\/([0-9a-f]{1,16})$/i;

/** Reads PostgreSQL's `X/Y`. Either case, leading zeros allowed. Throws MantaError `InvalidLsn` for anything else. */
export function parseLsn(text: string): Lsn {
  const match = FORM.exec(text);
  const high = BigInt(`0x${match?.[1] ?? '0'}`);
  const low = BigInt(`0x${match?.[2] ?? '0'}`);
  if (match === null || high > 0xffff_ffffn || low > 0xffff_ffffn) {
    throw new MantaError('InvalidLsn', `not a WAL position: ${JSON.stringify(text)}`);
  }
  return lsn((high << 32n) | low);
}

/** Writes PostgreSQL's own form: upper case, no leading zeros. */
export function formatLsn(position: Lsn): string {
  return `${(position >> 32n).toString(16)}/${(position & 0xffff_ffffn).toString(16)}`.toUpperCase();
}

/** Marks a number of bytes as a position. */
export function lsn(position: bigint): Lsn {
  return position as Lsn;
}

/** The later of two positions of one history. */
export function laterOf(a: Lsn, b: Lsn): Lsn {
  return a > b ? a : b;
}
