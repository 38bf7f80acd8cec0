/** What one harness found. It passed when `problems` is empty. */
export interface Report {
  readonly name: string;
  readonly figures: Readonly<Record<string, string | number>>;
  /** One sentence each. */
  readonly problems: readonly string[];
}

/** Prints the reports as a table and the first problems of each. */
export function printReports(reports: readonly Report[]): void {
  console.log('');
  for (const { name, figures, problems } of reports) {
    const facts = Object.entries(figures).map(([key, value]) => `${key} ${value}`);
    console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${name.padEnd(12)} ${facts.join(', ')}`);
    for (const problem of problems.slice(0, 10)) console.log(`         ${problem}`);
    if (problems.length > 10) console.log(`         … and ${problems.length - 10} more`);
  }
}
