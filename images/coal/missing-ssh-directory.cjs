/**
 * For `node --require`: a home directory without `.ssh` reads as one whose `.ssh` is empty. The `manta` package gives up
 * before it asks the SSH agent when that directory is missing; `env` adds this only then. Nothing is created.
 */
const fs = require('node:fs');
const path = require('node:path');

const directory = path.join(process.env.HOME ?? '', '.ssh');
const { readdir } = fs;

fs.readdir = (target, ...rest) => {
  const done = rest.at(-1);
  if (target !== directory || typeof done !== 'function') return readdir(target, ...rest);
  return readdir(target, ...rest.slice(0, -1), (error, names) => {
    if (error?.code === 'ENOENT') done(null, []);
    else done(error, names);
  });
};
