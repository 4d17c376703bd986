import { describe, expect, it } from 'vitest';
import { fit } from './rank';

describe('the palette', () => {
  it('prefers the beginning of a name, then of a word, then the middle, then scattered letters', () => {
    const order = ['Share', 'To share', 'Reshare', 'S h a', 'Leave'].map((name) => fit('sha', name));
    expect(order).toEqual([4, 3, 2, 1, 0]);
  });

  it('takes no notice of case and marks', () => {
    expect(fit('uber', 'Über uns')).toBe(4);
    expect(fit('', 'anything')).toBe(1);
  });

  it('does not find two letters all over the place', () => {
    expect(fit('se', 'Sessile')).toBe(4);
    expect(fit('xz', 'a x b z')).toBe(0);
  });
});
