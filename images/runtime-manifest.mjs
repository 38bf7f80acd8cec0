import { readFileSync, utimesSync, writeFileSync } from 'node:fs';

/*
 * For Dockerfiles: cuts package.json and package-lock.json of the working directory down to what programs run with. The
 * result, and so the layer that is installed by it, stays the same while scripts and tools of development change.
 */
const rewrite = (file, change) => {
  const content = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify(change(content)));
  utimesSync(file, 0, 0);
};
const cut = ({ name, dependencies, optionalDependencies, allowScripts }) => ({
  name,
  type: 'module',
  dependencies,
  optionalDependencies,
  allowScripts,
});

rewrite('package.json', cut);
rewrite('package-lock.json', ({ lockfileVersion, packages: { '': root, ...packages } }) => ({
  lockfileVersion,
  packages: { '': cut(root), ...Object.fromEntries(Object.entries(packages).filter(([, { dev }]) => !dev)) },
}));
