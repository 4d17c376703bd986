// @vitest-environment jsdom
// The purifier does not support happy-dom; browser tests hold the rest.
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { Blocks } from './blocks';
import * as code from './code';
import * as maths from './maths';
import { mended } from './mend';
import { Painter } from './painter';
import { destination, isAttachment } from './sanitize';

const WORDS = { copy: 'Copy', copied: 'Copied', code: 'Code', table: 'Table', formula: 'Formula' };

function painted(source: string, options = {}): HTMLElement {
  const root = document.createElement('div');
  new Painter(root, WORDS, async () => true).paint(source, options);
  return root;
}
const html = (source: string, options = {}) => painted(source, options).innerHTML.replaceAll('<div class="md-block">', '').replaceAll('</div>', '').trim();

beforeAll(async () => {
  await Promise.all([code.load(), maths.load()]);
});

describe('Markdown', () => {
  it('shows what people write', () => {
    expect(html('**a** _b_ ~~c~~ `d`')).toBe('<p><strong>a</strong> <em>b</em> <del>c</del> <code>d</code></p>');
    expect(html('one\ntwo')).toBe('<p>one<br>two</p>');
    expect(html('- [x] done\n- [ ] open')).toContain('☑');
    expect(painted('| a | b |\n|---|--:|\n| 1 | 2 |').querySelector('td[align="right"]')?.textContent).toBe('2');
  });

  it('shows HTML as it was written, and takes a few marks without attributes', () => {
    expect(painted('<b onclick=x>hi</b>').textContent?.trim()).toBe('<b onclick=x>hi');
    expect(painted('<script>alert(1)</script>').querySelector('script')).toBeNull();
    expect(painted('<script>alert(1)</script>').textContent?.trim()).toBe('<script>alert(1)</script>');
    expect(html('H<sub>2</sub>O<br>x')).toBe('<p>H<sub>2</sub>O<br>x</p>');
    expect(painted('<div>\n\n# x').textContent).toContain('<div>');
  });

  it('leads only where people may be sent', () => {
    const link = painted('[a](https://example.org/x)').querySelector('a')!;
    expect(link.getAttribute('rel')).toBe('noopener noreferrer nofollow');
    expect(link.getAttribute('target')).toBe('_blank');
    expect(link.getAttribute('title')).toBe('https://example.org/x');
    for (const bad of ['javascript:alert(1)', 'data:text/html,x', 'vbscript:x', 'file:///etc/passwd', 'java\tscript:x', 'https://a@b.example/']) {
      expect(painted(`[a](<${bad}>)`).querySelector('a'), bad).toBeNull();
    }
    expect(painted('mail [us](mailto:a@example.org)').querySelector('a')?.getAttribute('href')).toBe('mailto:a@example.org');
  });

  it('shows pictures of the session alone; others are links that say where they lead', () => {
    const own = `${location.origin}/api/v1/sessions/0190/attachments/0191`;
    expect(painted(`![cat](${own})`).querySelector('img')?.getAttribute('alt')).toBe('cat');
    const other = painted('![cat](https://example.org/cat.png)');
    expect(other.querySelector('img')).toBeNull();
    expect(other.querySelector('a')?.textContent).toBe('cat (example.org)');
    expect(isAttachment('/api/v1/sessions/a/attachments/b')).toBe(true);
    expect(isAttachment('/api/v1/sessions/a/attachments/b?x=1')).toBe(false);
    expect(isAttachment('/api/v1/me')).toBe(false);
    expect(isAttachment('//example.org/api/v1/sessions/a/attachments/b')).toBe(false);
    expect(destination('https://user:secret@example.org/')).toBeNull();
  });

  it('writes formulas as MathML without styles, and leaves prices alone', () => {
    expect(painted('so $a^2$ is').querySelector('math msup')).not.toBeNull();
    expect(painted('$$\n\\frac{1}{2}\n$$').querySelector('math[display="block"] mfrac')).not.toBeNull();
    expect(painted('\\(x\\) and \\[y\\]').querySelectorAll('math')).toHaveLength(2);
    expect(painted('it costs $5 or $6').querySelector('math')).toBeNull();
    expect(painted('$\\begin{pmatrix}1&2\\end{pmatrix}$').querySelector('[style]')).toBeNull();
    expect(painted('$\\frac{$').querySelector('math')).toBeNull();
    expect(painted('$\\href{javascript:alert(1)}{x}$').querySelector('[href]')).toBeNull();
  });

  it('colours code by class names, says its language, and copies it', async () => {
    const root = painted('```js\nconst a = "<b>";\n```');
    expect(root.querySelector('.hljs-keyword')?.textContent).toBe('const');
    expect(root.querySelector('.md-code-head span')?.textContent).toBe('JavaScript');
    expect(root.querySelector('pre')?.textContent).toBe('const a = "<b>";');
    const copy = vi.fn(async () => true);
    const painter = new Painter(root, WORDS, copy);
    const button = root.querySelector('button')!;
    root.addEventListener('click', (event) => painter.clicked(event));
    button.click();
    expect(copy).toHaveBeenCalledWith('const a = "<b>";');
    await vi.waitFor(() => expect(button.textContent).toBe('Copied'));
    expect(painted('```nosuch\nx\n```').querySelector('pre')?.textContent).toBe('x');
  });

  it('marks names after @, but not in code', () => {
    const root = painted('@Ana Lee and `@Ana Lee` and @Anabel', { names: ['Ana Lee', 'Ana'] });
    expect([...root.querySelectorAll('.md-name')].map((e) => e.textContent)).toEqual(['@Ana Lee']);
  });

  it('resolves definitions that stand elsewhere in the text', () => {
    expect(painted('see [it]\n\n[it]: https://example.org/').querySelector('a')?.textContent).toBe('it');
  });
});

describe('text that is still coming', () => {
  it('keeps the elements of finished blocks', () => {
    const root = document.createElement('div');
    const painter = new Painter(root, WORDS, async () => true);
    const whole = '# Title\n\nfirst **para**\n\n```js\nlet a = 1;\nlet b = 2;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\n- x\n- y\n\nend';
    const seen = new Map<number, Element>();
    for (let n = 1; n <= whole.length; n++) {
      painter.paint(whole.slice(0, n), { isStreaming: true });
      const blocks = [...root.children];
      blocks.slice(0, -1).forEach((block, i) => {
        const before = seen.get(i);
        if (before) expect(block, `block ${i} at ${n}`).toBe(before);
        seen.set(i, block);
      });
    }
    const streamed = root.innerHTML;
    painter.paint(whole);
    expect(root.innerHTML).toBe(streamed);
    expect(root.innerHTML).toBe(painted(whole).innerHTML);
  });

  it('what has been cut says what the whole says, wherever it is cut', () => {
    const whole = 'a\n\n- b\n\n  c\n- d\n\n> e\n\n1. f\n2. g\n\n    code\n\n***\n\n[x]: https://example.org\n\nh';
    for (let n = 0; n <= whole.length; n++) {
      const blocks = new Blocks();
      blocks.read(whole.slice(0, n), true);
      expect(blocks.read(whole, true)).toEqual(new Blocks().read(whole, true));
    }
  });

  it('is a table from its first row, and never a heading for a moment', () => {
    const tags = (source: string) => [...painted(source, { isStreaming: true }).querySelectorAll('table, h1, h2, li, strong, p')].map((e) => e.localName);
    expect(tags('| a | b')).toEqual(['table']);
    expect(tags('| a | b |\n|--')).toEqual(['table']);
    expect(tags('| a | b |\n|---|---|\n| 1')).toEqual(['table']);
    expect(tags('para\n-')).toEqual(['p']);
    expect(tags('para\n--')).toEqual(['p']);
    expect(tags('a **bold')).toEqual(['p', 'strong']);
  });

  it('closes what is open', () => {
    expect(mended('a **b')).toBe('a **b**');
    expect(mended('a **b*')).toBe('a **b**');
    expect(mended('a **')).toBe('a ');
    expect(mended('a `b')).toBe('a `b`');
    expect(mended('a *b')).toBe('a *b*');
    expect(mended('* a')).toBe('* a');
    expect(mended('see [it](https://exa')).toBe('see it');
    expect(mended('```js\n**')).toBe('```js\n**');
    expect(mended('2 * 3')).toBe('2 * 3');
  });
});
