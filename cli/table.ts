import { MantaError } from '../lib/errors/manta-error.ts';

/** What a cell holds; undefined is what is not known, or does not apply: a dash, in JSON null. */
export type Cell = string | number | boolean | readonly string[] | undefined;

/** A column of a table of `Row`s. Numbers stand right. */
export interface Column<Row> {
  /** As `-o` and JSON name it; never changes. */
  readonly name: string;
  /** Default: the name in capitals, without underscores. */
  readonly header?: string;
  value(row: Row): Cell;
}

/** All columns there are, and those that are shown when nobody asks for others. */
export interface Table<Row> {
  readonly columns: readonly Column<Row>[];
  readonly shown: readonly string[];
}

/** How rows are wished for. */
export interface Format {
  /** Names of `-o`. */
  readonly columns?: readonly string[];
  readonly header: boolean;
  readonly json: boolean;
}

/**
 * Rows as text, a line each, or as a JSON array of objects, which without `-o` have all columns. Throws MantaError `Usage`
 * for a column that there is not.
 */
export function listing<Row>(table: Table<Row>, rows: readonly Row[], format: Format): string {
  if (format.json) return `${JSON.stringify(jsonRows(table, rows, format), undefined, 2)}\n`;
  const columns = chosen(table, format.columns ?? table.shown);
  const cells = rows.map(row => columns.map(column => column.value(row)));
  const lines = cells.map(line => line.map(textOf));
  if (format.header) lines.unshift(columns.map(({ name, header }) => header ?? headerOf(name)));
  const widths = columns.map((_, at) => Math.max(...lines.map(line => (line[at] ?? '').length)));
  const isRight = columns.map((_, at) => cells.some(line => typeof line[at] === 'number'));
  return lines
    .map(line => line.map((text, at) => (isRight[at] ? text.padStart(widths[at] ?? 0) : text.padEnd(widths[at] ?? 0))))
    .map(line => `${line.join('  ').trimEnd()}\n`)
    .join('');
}

/** The same rows for a JSON document that holds more than them. Throws MantaError `Usage` as `listing` does. */
export function jsonRows<Row>(
  table: Table<Row>,
  rows: readonly Row[],
  format: Pick<Format, 'columns'>,
): readonly Record<string, Cell | null>[] {
  const columns = chosen(table, format.columns ?? table.columns.map(({ name }) => name));
  return rows.map(row => Object.fromEntries(columns.map(column => [column.name, column.value(row) ?? null])));
}

/** One line of text from somebody else: what a terminal would take for a command is not passed on. */
export function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}

function chosen<Row>(table: Table<Row>, names: readonly string[]): readonly Column<Row>[] {
  return names.map(name => {
    const found = table.columns.find(column => column.name === name);
    if (found !== undefined) return found;
    const known = table.columns.map(column => column.name).join(', ');
    throw new MantaError('Usage', `there is no column "${name}"; there are: ${known}`);
  });
}

function headerOf(name: string): string {
  return name.toUpperCase().replaceAll('_', ' ');
}

function textOf(cell: Cell): string {
  if (typeof cell === 'boolean') return cell ? 'yes' : 'no';
  const text = oneLine(typeof cell === 'object' ? cell.join(',') : String(cell ?? ''));
  return text === '' ? '-' : text;
}
