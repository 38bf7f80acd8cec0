import { spawnSync } from 'node:child_process';
import { type Definition, type Output, root, type Schema } from './crd-schema.ts';

const PATH = 'lib/resources/types.ts';
const WIDTH = 120;

/** Names of shapes that stand in several places, by the end of one of their paths. All others are named for their path. */
const sharedNames: readonly (readonly [RegExp, string])[] = [
  [/\.conditions\[\]$/, 'Condition'],
  [/\.tolerations\[\]$/, 'Toleration'],
  [/\.pullSecrets\[\]$/, 'SecretReference'],
  [/\.resources$/, 'PodResources'],
  [/\.storage\.(data|wal)$|^MantaRegion\.spec\.storageTemplate\.volume$/, 'ClaimTemplate'],
  [/^MantaRegion\.spec\.services\.(webapi|loadbalancer)$/, 'ReplicatedService'],
  [/^MantaRegion\.spec\.services\.(storage|postgres)$/, 'SingleService'],
];

/** The TypeScript types of all kinds, as the API server answers: what has a default is always there. */
export function generateTypes(definitions: readonly Definition[]): Output {
  const interfaces = new Map<string, string>();
  const kinds = definitions.map(definition => kindOf(definition, interfaces));
  const text = [
    '// Generated from crds/ by `npm run generate`; do not edit.',
    "import type { KubernetesObject, ObjectMeta } from '../kubernetes/object.ts';",
    "import { defineResource } from '../kubernetes/resource.ts';",
    '',
    '/** An object of one of our kinds. */',
    'export interface CustomResource<Kind extends string, Spec, Status> extends KubernetesObject {',
    '  readonly apiVersion: string;',
    '  readonly kind: Kind;',
    '  readonly metadata: ObjectMeta;',
    '  readonly spec: Spec;',
    '  readonly status?: Status;',
    '}',
    '',
    ...kinds,
    ...interfaces.values(),
  ].join('\n');
  return { path: PATH, text: format(text) };
}

function kindOf(
  { kind, plural, group, version, description, spec, status }: Definition,
  interfaces: Interfaces,
): string {
  const types = [typeOf(spec, `${kind}.spec`, interfaces), typeOf(status, `${kind}.status`, interfaces)];
  const constant = plural.replace(/^[a-z]+/, kind[0]?.toLowerCase() + kind.slice(1) + plural.slice(kind.length));
  return [
    docblock(description, ''),
    `export type ${kind} = CustomResource<'${kind}', ${types.join(', ')}>;`,
    `/** Where objects of kind ${kind} are in the API. */`,
    `export const ${constant} = defineResource<${kind}>(${JSON.stringify({ group, version, kind, plural })});`,
    '',
  ].join('\n');
}

type Interfaces = Map<string, string>;

function typeOf(schema: Schema, path: string, interfaces: Interfaces): string {
  if (schema['x-kubernetes-int-or-string'] === true) return 'number | string';
  if (schema.enum !== undefined) return schema.enum.map(value => JSON.stringify(value)).join(' | ');
  switch (schema.type) {
    case 'string':
    case 'boolean':
      return schema.type;
    case 'integer':
      return 'number';
    case 'array':
      return `readonly (${typeOf(schema.items ?? {}, `${path}[]`, interfaces)})[]`;
    case 'object':
      if (schema.additionalProperties !== undefined)
        return `Readonly<Record<string, ${typeOf(schema.additionalProperties, `${path}{}`, interfaces)}>>`;
      return interfaceOf(schema, path, interfaces);
    default:
      throw new Error(`${path}: no type is known for ${JSON.stringify(schema)}`);
  }
}

function interfaceOf(schema: Schema, path: string, interfaces: Interfaces): string {
  const name = nameOf(path);
  const fields = Object.entries(schema.properties ?? {}).map(([key, field]) => {
    const isThere = schema.required?.includes(key) === true || field.default !== undefined;
    const type = typeOf(field, `${path}.${key}`, interfaces);
    return `${docblock(field.description, '  ')}\n  readonly ${key}${isThere ? '' : '?'}: ${type};\n`;
  });
  const text = `${docblock(schema.description, '')}\nexport interface ${name} {\n${fields.join('')}}\n`;
  const known = interfaces.get(name);
  // Descriptions may differ from place to place; what the first one says stands.
  if (known !== undefined && shapeOf(known) !== shapeOf(text))
    throw new Error(`${path}: ${name} has another shape elsewhere`);
  if (known === undefined) interfaces.set(name, text);
  return name;
}

function shapeOf(text: string): string {
  return text.replace(/ *\/\*\*.*?\*\/\n/gs, '');
}

function docblock(description = '', indent: string): string {
  const line = `${indent}/** ${description} */`;
  if (line.length <= WIDTH) return line;
  const lines = [`${indent} *`];
  for (const word of description.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last.length + word.length < WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`${indent} * ${word}`);
  }
  return [`${indent}/**`, ...lines, `${indent} */`].join('\n');
}

/** `MantaRegion.spec.frontDoor.tls` is `MantaRegionFrontDoorTls`. */
function nameOf(path: string): string {
  const shared = sharedNames.find(([end]) => end.test(path));
  if (shared !== undefined) return shared[1];
  const [kind, part, ...rest] = path.replaceAll('[]', '').split('.');
  const words = rest.length > 0 && part === 'spec' ? rest : [part ?? '', ...rest];
  return `${kind}${words.map(word => word.charAt(0).toUpperCase() + word.slice(1)).join('')}`;
}

function format(text: string): string {
  const biome = 'node_modules/@biomejs/biome/bin/biome';
  const done = spawnSync(process.execPath, [biome, 'format', `--stdin-file-path=${PATH}`], { cwd: root, input: text });
  if (done.status !== 0) throw new Error(`the generated types cannot be formatted: ${done.stderr}`);
  return done.stdout.toString();
}
