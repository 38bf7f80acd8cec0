import fc from 'fast-check';
import { type Claim, createSpace } from './space.ts';

const FLOOR = 10;

/** A disk of 100 bytes; the clock moves by hand. */
function aDisk() {
  const disk = { availBytes: 100, nowMs: 0, isAnswering: true };
  const capacity = async () => {
    if (!disk.isAnswering) throw Object.assign(new Error('no disk'), { code: 'EIO' });
    return { totalBytes: 100, availBytes: disk.availBytes, inodesFree: 1 };
  };
  const space = createSpace({ volume: { capacity }, monotonic: () => disk.nowMs }, FLOOR);
  const look = () => {
    disk.nowMs += 1_000;
  };
  return { disk, space, look };
}

describe('space', () => {
  it('is promised once, and again when the promise is given back', async () => {
    const { space } = aDisk();
    const first = await space.claim(60);
    await expect(space.claim(31)).rejects.toMatchObject({ code: 'NotEnoughSpace' });
    const second = await space.claim(30);
    first.release();
    first.release();
    await expect(space.claim(61)).rejects.toMatchObject({ code: 'NotEnoughSpace' });
    await space.claim(60);
    second.release();
  });

  it('says how much was too much', async () => {
    await expect(aDisk().space.claim(3 * 1_048_576 + 1)).rejects.toThrow('not enough free space for 4 MB');
  });

  it('ends for an upload of unknown length when the disk falls below the floor', async () => {
    const { disk, space, look } = aDisk();
    const claim = await space.claim(0);
    disk.availBytes = FLOOR;
    look();
    await claim.wrote(90);
    disk.availBytes = FLOOR - 1;
    look();
    await expect(claim.wrote(1)).rejects.toMatchObject({ code: 'NotEnoughSpace' });
  });

  it('asks the disk again after it did not answer', async () => {
    const { disk, space } = aDisk();
    disk.isAnswering = false;
    await expect(space.claim(1)).rejects.toMatchObject({ code: 'Unavailable' });
    disk.isAnswering = true;
    await space.claim(1);
  });

  it('never promises what is not there, and forgets no byte that came back', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('claim' as const), bytes: fc.nat(60) }),
      fc.record({ kind: fc.constant('write' as const), bytes: fc.nat(30) }),
      fc.record({ kind: fc.constant('release' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step), async steps => {
        const { disk, space, look } = aDisk();
        const open: { claim: Claim; left: number }[] = [];
        for (const { kind, bytes } of steps.map(each => ({ bytes: 0, ...each }))) {
          look();
          const promised = open.reduce((sum, { left }) => sum + left, 0);
          const oldest = open[0];
          if (kind === 'claim') {
            const claim = await space.claim(bytes).catch(() => undefined);
            expect(claim !== undefined).toBe(disk.availBytes - promised - bytes >= FLOOR);
            if (claim !== undefined) open.push({ claim, left: bytes });
          } else if (oldest !== undefined && kind === 'write') {
            const written = Math.min(bytes, disk.availBytes - FLOOR);
            disk.availBytes -= written;
            oldest.left -= Math.min(oldest.left, written);
            await oldest.claim.wrote(written);
          } else if (oldest !== undefined) {
            oldest.claim.release();
            open.shift();
          }
        }
      }),
    );
  });
});
