const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const QUOTED = '"(?:[^"\\\\\\x00-\\x08\\x0a-\\x1f\\x7f]|\\\\[\\x09\\x20-\\x7e\\x80-\\xff])*"';
const WHOLE = new RegExp(`^\\s*(${TOKEN})((?:\\s*;\\s*${TOKEN}\\s*=\\s*(?:${QUOTED}|${TOKEN}))*)\\s*$`);
const PARAMETER = new RegExp(`;\\s*(${TOKEN})\\s*=\\s*(${QUOTED}|${TOKEN})`, 'g');

/**
 * The stored form of a `Content-Disposition` (RFC 6266): its type, and the file name without directories when it has
 * one; other parameters are dropped (http-api.md §6.1). Undefined when it cannot be read, which is 400 BadRequest.
 */
export function normalizeDisposition(header: string): string | undefined {
  const match = WHOLE.exec(header);
  if (match === null) return undefined;
  const [, type = '', list = ''] = match;
  const parameters = new Map<string, string>();
  for (const [, name = '', value = ''] of list.matchAll(PARAMETER)) {
    const key = name.toLowerCase();
    // RFC 6266 §4.1: the same parameter twice makes the header invalid.
    if (parameters.has(key)) return undefined;
    parameters.set(key, value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value);
  }
  const fileName = parameters.get('filename') ?? extendedValue(parameters.get('filename*'));
  if (fileName === undefined) return type.toLowerCase();
  const baseName = fileName.slice(fileName.lastIndexOf('/') + 1);
  return `${type.toLowerCase()}; filename="${baseName.replace(/["\\]/g, '\\$&')}"`;
}

/** `UTF-8''name` of RFC 8187, with characters that no header can hold replaced. */
function extendedValue(value: string | undefined): string | undefined {
  const encoded = value === undefined ? undefined : /^utf-8'[^']*'(.*)$/i.exec(value)?.[1];
  if (encoded === undefined) return undefined;
  try {
    return decodeURIComponent(encoded).replace(/[^\x20-\x7e\xa0-\xff]/g, '?');
  } catch {
    return undefined;
  }
}
