import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';

/** The repository's root, which the paths of generated files start at. */
export const root = resolve(import.meta.dirname, '..');

/** A file that a generator makes. */
export interface Output {
  readonly path: string;
  readonly text: string;
}

/** A structural schema, as far as the generators read it. */
export interface Schema {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly enum?: readonly (string | number)[];
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-validations'?: readonly {
    readonly rule: string;
    readonly message?: string;
    /** From the field that has the rule to the one that is to blame. */
    readonly fieldPath?: string;
  }[];
}

/** One kind, in its one version. */
export interface Definition {
  /** Of the file in `crds/`. */
  readonly path: string;
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly description: string;
  readonly spec: Schema;
  readonly status: Schema;
}

/** All kinds of `crds/`, the region first, then what belongs to it. Throws for a file that is not of the usual shape. */
export function readDefinitions(): readonly Definition[] {
  return globSync('crds/*.yaml', { cwd: root }).sort().map(readDefinition);
}

function readDefinition(path: string): Definition {
  const { spec } = parse(readFileSync(join(root, path), 'utf8'));
  const [version, ...others] = spec.versions;
  if (others.length > 0) throw new Error(`${path}: the generators know one version of a kind`);
  const schema: Schema = version.schema.openAPIV3Schema;
  const { spec: wanted, status } = schema.properties ?? {};
  if (wanted === undefined || status === undefined) throw new Error(`${path}: has no spec or no status`);
  const { kind, plural, shortNames } = spec.names;
  return {
    path,
    group: spec.group,
    version: version.name,
    kind,
    plural,
    shortNames,
    description: schema.description ?? '',
    spec: wanted,
    status,
  };
}
