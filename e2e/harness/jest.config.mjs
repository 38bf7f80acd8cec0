import shared from '../jest.config.mjs';

/** The tests of how clusters are made and removed; they run outside of any. */
export default { ...shared, rootDir: '../..', roots: ['<rootDir>/e2e/harness'], testPathIgnorePatterns: [] };
