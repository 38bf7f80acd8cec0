import type { Stored } from '../lib/kubernetes/object.ts';
import { type EffectiveSpec, effectiveSpec } from '../lib/resources/effective-spec.ts';
import type { Program } from '../lib/resources/profile-defaults.ts';
import type { MantaRegion } from '../lib/resources/types.ts';
import { labels, MANAGER } from './names.ts';

/** What the operator itself says about images and pods of the regions it runs. */
export interface ProgramDefaults {
  /** Registry and path before the names of the programs, for regions that name none. */
  readonly registry: string;
  /** Version of the programs of regions that name none: the operator's own. */
  readonly version: string;
  /** Priority class of all pods but those of compute; undefined: the cluster's default. */
  readonly priorityClass: string | undefined;
}

/** A region as those who render its objects see it: with nothing left to defaults. */
export interface RegionView {
  readonly name: string;
  readonly namespace: string;
  readonly spec: EffectiveSpec;
  /** Version in force. */
  readonly version: string;
  readonly priorityClass: string | undefined;
  /** Reference of a program's image. */
  image(program: Program): string;
  /** Labels of everything that belongs to a program of this region. */
  labelsOf(program: Program): Readonly<Record<string, string>>;
}

/** Pure. */
export function viewOf(region: Stored<MantaRegion>, defaults: ProgramDefaults): RegionView {
  const { name, namespace = '' } = region.metadata;
  const spec = effectiveSpec(region);
  const version = spec.version ?? defaults.version;
  const registry = spec.images.registry ?? defaults.registry;
  return {
    name,
    namespace,
    spec,
    version,
    priorityClass: defaults.priorityClass,
    image: program => spec.images.overrides?.[program] ?? `${registry}/${program}:${version}`,
    labelsOf: program => ({ [labels.service]: program, [labels.region]: name, [labels.managedBy]: MANAGER }),
  };
}
