import { type Format, listing, type Table } from './table.ts';

interface Row {
  readonly name: string;
  readonly size: number | undefined;
  readonly tags: readonly string[];
  readonly isGood: boolean;
}
const table: Table<Row> = {
  columns: [
    { name: 'name', value: row => row.name },
    { name: 'size', value: row => row.size },
    { name: 'all_tags', value: row => row.tags },
    { name: 'good', header: 'OK', value: row => row.isGood },
  ],
  shown: ['name', 'size', 'all_tags'],
};
const rows: readonly Row[] = [
  { name: 'a', size: 5, tags: ['x', 'y'], isGood: true },
  { name: 'longer', size: undefined, tags: [], isGood: false },
  { name: 'b', size: 1234, tags: ['z'], isGood: true },
];
const plain: Format = { header: true, json: false };

describe('a listing', () => {
  it('aligns words left and numbers right, and shows a dash for what is not known', () => {
    expect(listing(table, rows, plain).split('\n')).toEqual([
      'NAME    SIZE  ALL TAGS',
      'a          5  x,y',
      'longer     -  -',
      'b       1234  z',
      '',
    ]);
  });

  it('has the columns that were asked for in their order, without headers on demand', () => {
    expect(listing(table, rows, { ...plain, columns: ['good', 'name'] })).toMatch(
      /^OK {3}NAME\nyes {2}a\nno {3}longer\n/,
    );
    expect(listing(table, rows, { header: false, json: false, columns: ['name'] })).toBe('a\nlonger\nb\n');
    expect(listing(table, [], { header: false, json: false })).toBe('');
    expect(listing(table, [], plain)).toBe('NAME  SIZE  ALL TAGS\n');
  });

  it('names the columns that there are when one is asked for that there is not', () => {
    expect(() => listing(table, rows, { ...plain, columns: ['nme'] })).toThrow(
      'there is no column "nme"; there are: name, size, all_tags, good',
    );
    expect(() => listing(table, [], { header: true, json: true, columns: ['nme'] })).toThrow('there is no column');
  });

  it('is as JSON an array of objects, with all columns or with those asked for', () => {
    const json = (columns?: string[]) =>
      JSON.parse(listing(table, rows, { header: true, json: true, ...(columns && { columns }) }));
    expect(json()[1]).toEqual({ name: 'longer', size: null, all_tags: [], good: false });
    expect(json(['size'])).toEqual([{ size: 5 }, { size: null }, { size: 1234 }]);
  });

  it('passes no control characters of foreign text on to a terminal', () => {
    const evil: Row = { name: 'a\u001b[2Jb\nc\u202ed', size: 1, tags: [], isGood: true };
    expect(listing(table, [evil], { header: false, json: false, columns: ['name'] })).toBe('a [2Jb c d\n');
  });
});
