import { describe, expect, it } from 'vitest';
import { assistantName, assistantNote, isGuide } from './assistant';

describe('the label of an assistant', () => {
  it('holds its name, and beside it what it is', () => {
    const told = ['Guide - not an AI model', 'Guide', 'qwen3:8b · Ollama on this machine', 'oak-table-1'].map((label) => [assistantName(label), assistantNote(label)]);
    expect(told).toEqual([
      ['Guide', 'not an AI model'],
      ['Guide', 'not an AI model'],
      ['qwen3:8b', 'Ollama on this machine'],
      ['oak-table-1', 'AI model'],
    ]);
  });

  it('is the guide\'s only as a whole word', () => {
    expect([isGuide('Guide'), isGuide('guide - not an AI model'), isGuide('guidellama')]).toEqual([true, true, false]);
  });
});
