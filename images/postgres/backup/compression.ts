import { pipeline, type Readable } from 'node:stream';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';

/** Backups are written once and hardly ever read, beside a database that has better things to do. */
const LEVEL = 1;

/** The same, compressed. An error of the source is one of the result. */
export function compressed(source: Readable): Readable {
  return through(source, createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: LEVEL } }));
}

export function decompressed(source: Readable): Readable {
  return through(source, createZstdDecompress());
}

function through<Stage extends ReturnType<typeof createZstdCompress>>(source: Readable, stage: Stage): Readable {
  // It destroys the one with the error of the other, which is all that is needed.
  pipeline(source, stage, () => {});
  return stage;
}
