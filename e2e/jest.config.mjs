import shared from '../jest.config.mjs';

/** The tests that need a cluster; `npm run e2e` starts them in its network. One at a time: they break it. */
export default {
  rootDir: '..',
  roots: ['<rootDir>/e2e'],
  testEnvironment: shared.testEnvironment,
  testMatch: shared.testMatch,
  extensionsToTreatAsEsm: shared.extensionsToTreatAsEsm,
  transform: shared.transform,
  testPathIgnorePatterns: ['<rootDir>/e2e/harness/'],
  testTimeout: 180_000,
  maxWorkers: 1,
};
