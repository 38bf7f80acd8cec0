import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { type Definition, type Output, root } from './crd-schema.ts';

/**
 * The chart's own copies of the definitions: Helm packs nothing from outside a chart. They are kept when the release goes,
 * because with a definition all its objects go; anchors are written out, for readers that know none.
 */
export function generateChartCrds(definitions: readonly Definition[]): readonly Output[] {
  return definitions.map(({ path }) => {
    const { apiVersion, kind, metadata, spec } = parse(readFileSync(join(root, path), 'utf8'));
    const annotations = { ...metadata.annotations, 'helm.sh/resource-policy': 'keep' };
    const copy = { apiVersion, kind, metadata: { ...metadata, annotations }, spec };
    const text = stringify(copy, { aliasDuplicateObjects: false, lineWidth: 120 });
    return {
      path: `charts/manta/files/crds/${basename(path)}`,
      text: `# Generated from ${path} by \`npm run generate\`; do not edit.\n${text}`,
    };
  });
}
