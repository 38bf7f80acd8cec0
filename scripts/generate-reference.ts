import type { Definition, Output, Schema } from './crd-schema.ts';

/** `docs/resources.md`: every field of every kind, with its type, default and rules. */
export function generateReference(definitions: readonly Definition[]): Output {
  const text = [
    '<!-- Generated from crds/ by `npm run generate`; do not edit. -->',
    '# Resources',
    '',
    'Every field of the custom resources of a region, as `kubectl explain` shows them too. What is not set and has no',
    'default here has one by profile, or none. Beyond types and ranges the API server holds the rules below each table.',
    '',
    ...definitions.flatMap(definition => section(definition)),
  ].join('\n');
  return { path: 'docs/resources.md', text };
}

function section({ kind, group, version, plural, shortNames, description, spec, status }: Definition): string[] {
  return [
    `## ${kind}`,
    '',
    description,
    '',
    `\`apiVersion: ${group}/${version}\`; \`kubectl get ${plural}\`, in short \`${shortNames.join('`, `')}\`.`,
    '',
    '### spec',
    '',
    ...table(spec),
    ...rules(spec),
    '### status',
    '',
    ...table(status),
  ];
}

function table(schema: Schema): string[] {
  const rows = fieldsOf(schema, '').map(
    ({ path, field, isRequired }) =>
      `| \`${path}\` | ${typeOf(field)}${isRequired ? ', required' : ''}${defaultOf(field)} | ${cell(field.description)} |`,
  );
  return ['| Field | Type | |', '|---|---|---|', ...rows, ''];
}

interface Field {
  readonly path: string;
  readonly field: Schema;
  readonly isRequired: boolean;
}

function fieldsOf(schema: Schema, prefix: string): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}${field.type === 'array' ? '[]' : ''}`;
    const inner = field.type === 'array' ? (field.items ?? {}) : field;
    const isRequired = schema.required?.includes(name) === true;
    return [{ path, field, isRequired }, ...fieldsOf(inner, `${path}.`)];
  });
}

function typeOf(schema: Schema): string {
  if (schema['x-kubernetes-int-or-string'] === true) return 'integer or string';
  if (schema.enum !== undefined) return schema.enum.map(value => `\`${value}\``).join(', ');
  switch (schema.type) {
    case 'array':
      return `list of ${schema.items?.type === 'object' ? 'objects' : typeOf(schema.items ?? {})}`;
    case 'object':
      return schema.additionalProperties === undefined ? 'object' : `map to ${typeOf(schema.additionalProperties)}`;
    case 'integer':
      return `integer${range(schema.minimum, schema.maximum)}`;
    default:
      return schema.format ?? schema.type ?? '';
  }
}

function range(minimum: number | undefined, maximum: number | undefined): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  return minimum === undefined ? '' : ` from ${minimum}`;
}

/** `{}` is where the defaults of what is inside hang, and says nothing itself. */
function defaultOf({ default: value }: Schema): string {
  return value === undefined || typeof value === 'object' ? '' : `, default \`${value}\``;
}

function rules(schema: Schema): string[] {
  const all = [{ path: '', field: schema }, ...fieldsOf(schema, '')].flatMap(({ path, field }) =>
    (field['x-kubernetes-validations'] ?? []).map(({ rule, message, fieldPath }) => {
      const where = `${path}${fieldPath ?? ''}`.replace(/^\./, '');
      return `- ${where === '' ? '' : `\`${where}\`: `}${message}  \n  \`${rule.trim()}\``;
    }),
  );
  return all.length === 0 ? [] : ['Rules:', '', ...all, ''];
}

function cell(text = ''): string {
  return text.replaceAll('|', '\\|');
}
