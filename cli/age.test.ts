import { ageOf } from './age.ts';

const at = '2026-03-02T10:00:00Z';
const after = (seconds: number) => ageOf(at, Date.parse(at) + seconds * 1_000);

describe('an age', () => {
  it.each([
    [0, '0s'],
    [119, '119s'],
    [120, '2m'],
    [7_199, '119m'],
    [7_200, '2h'],
    [172_799, '47h'],
    [172_800, '2d'],
    [210 * 86_400, '210d'],
    [-5, '0s'],
  ])('of %d seconds is %s', (seconds, text) => {
    expect(after(seconds)).toBe(text);
  });
});
