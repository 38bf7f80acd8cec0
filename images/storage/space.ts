import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Volume } from './volume.ts';

/** Free space as uploads may use it: the file system's figure less what running uploads have announced. */
export interface Space {
  /** Sets bytes aside, or throws MantaError `NotEnoughSpace` or `Unavailable`. Give the claim back with `release`. */
  claim(bytes: number): Promise<Claim>;
}

export interface Claim {
  /** Bytes have reached the disk: the file system counts them from now on. Throws `NotEnoughSpace` below the floor. */
  wrote(bytes: number): Promise<void>;
  release(): void;
}

/** How long a look at the file system is good for, milliseconds. */
const LOOK_MS = 250;

export function createSpace(
  deps: { volume: Pick<Volume, 'capacity'>; monotonic: () => number },
  floorBytes: number,
): Space {
  let claimed = 0;
  let look: { at: number; avail: Promise<number> } | undefined;

  function available(): Promise<number> {
    if (look === undefined || deps.monotonic() - look.at > LOOK_MS) {
      look = { at: deps.monotonic(), avail: lookAt(deps.volume) };
      look.avail.catch(() => {
        look = undefined;
      });
    }
    return look.avail;
  }

  return {
    async claim(bytes) {
      const avail = await available();
      if (avail - claimed - bytes < floorBytes) throw notEnough(bytes);
      claimed += bytes;
      let left = bytes;
      return {
        async wrote(written) {
          const counted = Math.min(left, written);
          left -= counted;
          claimed -= counted;
          if ((await available()) < floorBytes) throw notEnough(bytes);
        },
        release() {
          claimed -= left;
          left = 0;
        },
      };
    },
  };
}

async function lookAt(volume: Pick<Volume, 'capacity'>): Promise<number> {
  try {
    return (await volume.capacity()).availBytes;
  } catch (cause) {
    throw new MantaError('Unavailable', 'the volume does not answer', { cause });
  }
}

function notEnough(bytes: number): MantaError {
  return new MantaError('NotEnoughSpace', `not enough free space for ${Math.ceil(bytes / 1_048_576)} MB`);
}
