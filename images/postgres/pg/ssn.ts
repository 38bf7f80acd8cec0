/**
 * The text of `synchronous_standby_names` that makes all of these standbys confirm a commit (replication.md §11.3). The
 * first has priority 1. Empty only for an empty list: then nobody must.
 */
export function formatSsn(names: readonly string[]): string {
  const quoted = names.map(name => `"${name.replaceAll('"', '""')}"`);
  return names.length < 2 ? (quoted[0] ?? '') : `FIRST ${names.length} (${quoted.join(',')})`;
}

/**
 * Reads back what `formatSsn` wrote. Any other text, such as one that lets a part of the names suffice, comes back as one
 * name that is the whole text, so that it equals nothing that was ever asked for.
 */
export function parseSsn(text: string): readonly string[] {
  if (text === '') return [];
  const names = [...text.matchAll(/"((?:[^"]|"")*)"/g)].map(match => (match[1] ?? '').replaceAll('""', '"'));
  return formatSsn(names) === text ? names : [text];
}
