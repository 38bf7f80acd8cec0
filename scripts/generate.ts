import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Output, readDefinitions, root } from './crd-schema.ts';
import { generateChartCrds } from './generate-chart-crds.ts';
import { generateReference } from './generate-reference.ts';
import { generateTypes } from './generate-types.ts';

/** `npm run generate`: everything that is made from crds/. With `--check` it writes nothing and fails where that differs. */
const definitions = readDefinitions();
const outputs: readonly Output[] = [
  generateTypes(definitions),
  ...generateChartCrds(definitions),
  generateReference(definitions),
];

for (const { path, text } of outputs) {
  const file = join(root, path);
  if (process.argv.includes('--check')) {
    if (existing(file) === text) continue;
    console.error(`${path} is not what crds/ makes of it: npm run generate`);
    process.exitCode = 1;
  } else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(path);
  }
}

function existing(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
