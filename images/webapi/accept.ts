/**
 * True when an `Accept` header admits the stored type of an object: http-api.md §6.4. A stored type that cannot be read
 * counts as `application/octet-stream`. The most specific range that names the type decides; `q=0` excludes it.
 */
export function isAcceptable(header: string | undefined, storedType: string): boolean {
  if (!header || header === '*/*') return true;
  const [, type = 'application', subtype = 'octet-stream'] = MEDIA_TYPE.exec(storedType.toLowerCase()) ?? [];
  let best = -1;
  let accepted = false;
  for (const item of header.toLowerCase().split(',')) {
    const range = MEDIA_TYPE.exec(item.trim());
    if (range === null) continue;
    const specificity = specificityOf(range[1] as string, range[2] as string, type, subtype);
    if (specificity > best) {
      best = specificity;
      accepted = !/;\s*q\s*=\s*0(?:\.0*)?\s*(?:;|$)/.test(item);
    }
  }
  return accepted;
}

const MEDIA_TYPE = /^([^\s/;,]+)\/([^\s/;,]+)\s*(?:;|$)/;

/** 2: names the type; 1: its family; 0: everything; -1: something else. */
function specificityOf(rangeType: string, rangeSubtype: string, type: string, subtype: string): number {
  if (rangeType === type && rangeSubtype === subtype) return 2;
  if (rangeType === type && rangeSubtype === '*') return 1;
  return rangeType === '*' && rangeSubtype === '*' ? 0 : -1;
}
