import { chmodSync, existsSync, mkdirSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { newRegion, type RegionFile, readRegionFile, writeRegionFile } from './region-file.ts';
import { lockState, type StateLock } from './state-lock.ts';

/** A state directory that this process has for itself. */
export interface StateDirectory {
  /** Absolute, without symbolic links. */
  readonly path: string;
  readonly region: RegionFile;
  /** Writes `region.json` anew with these changes. */
  update(changes: Partial<RegionFile>): void;
  /** Removes the process id from `region.json` and gives the directory up. */
  close(): void;
}

/**
 * Makes or takes over a state directory. Throws MantaError `RegionRunning`, with the process that has it, `RegionFile`
 * when it holds another release's region, `StateDirectory` when it cannot be used. metadata.md §17.
 */
export function openStateDirectory(dir: string, processId: number): StateDirectory {
  const { path, lock } = takeDirectory(dir);
  if (lock === undefined) throw running(path);
  try {
    let region: RegionFile = { ...(readRegionFile(path) ?? newRegion()), processId };
    writeRegionFile(path, region);
    return {
      path,
      get region() {
        return region;
      },
      update(changes) {
        region = { ...region, ...changes };
        writeRegionFile(path, region);
      },
      close() {
        try {
          const { processId: _gone, ...rest } = region;
          writeRegionFile(path, rest);
        } finally {
          lock.release();
        }
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** What a start that was cut off, or somebody who prepares volumes, may have put there before there is a region. */
const OURS = /^(lock|logs|postgres|shard|storage|keys|agent|env|region\.json.*|lost\+found)$/;

function takeDirectory(dir: string): { path: string; lock: StateLock | undefined } {
  try {
    if (!existsSync(dir)) {
      mkdirSync(dir, { recursive: true });
      // A database server that is not root must get through to its own directory; what is secret has a mode of its own.
      chmodSync(dir, 0o755);
    }
    const path = realpathSync(dir);
    const stranger = readdirSync(path).find(name => !OURS.test(name));
    if (stranger !== undefined && !existsSync(join(path, 'region.json'))) {
      throw new Error(`it holds ${stranger}, and no region`);
    }
    return { path, lock: lockState(path) };
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new MantaError('StateDirectory', `cannot use ${dir}: ${reason}; choose another directory with --dir`, {
      cause,
    });
  }
}

function running(path: string): MantaError {
  let holder = 'another process';
  try {
    const { processId } = readRegionFile(path) ?? {};
    if (processId !== undefined) holder = `process ${processId}`;
  } catch {
    // The lock alone decides; the number is a courtesy.
  }
  return new MantaError(
    'RegionRunning',
    `${holder} runs a region on ${path}: use that one, stop it, or choose another directory with --dir`,
  );
}
