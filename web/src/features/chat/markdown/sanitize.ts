/**
 * The one place where text becomes elements.
 *
 * Owns: what may stand in a message. Must not know: Markdown, mathematics, code. Invariant: nothing else in the page makes
 * elements of a string (a test reads the sources); what comes out holds no script, no handler, no style, no id, and no
 * address that is fetched by itself but the session's own pictures.
 */

import DOMPurify, { type Config } from 'dompurify';

const TAGS = [
  ...['p', 'br', 'hr', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'blockquote', 'ul', 'ol', 'li', 'pre', 'code', 'span', 'div'],
  ...['strong', 'em', 'b', 'i', 'u', 's', 'del', 'ins', 'sub', 'sup', 'kbd', 'mark', 'a', 'img'],
  ...['table', 'thead', 'tbody', 'tr', 'th', 'td'],
];
const MATH_TAGS = [
  ...['math', 'mrow', 'mi', 'mn', 'mo', 'ms', 'mtext', 'mspace', 'mfrac', 'msqrt', 'mroot', 'mstyle', 'mpadded', 'mphantom'],
  ...['msub', 'msup', 'msubsup', 'munder', 'mover', 'munderover', 'mmultiscripts', 'mprescripts', 'mtable', 'mtr', 'mtd', 'menclose'],
];
const ATTRIBUTES = ['href', 'title', 'src', 'alt', 'class', 'start', 'align', 'data-tex', 'data-display', 'data-lang'];
const MATH_ATTRIBUTES = [
  ...['display', 'displaystyle', 'scriptlevel', 'mathvariant', 'stretchy', 'symmetric', 'fence', 'separator', 'form', 'accent'],
  ...['accentunder', 'lspace', 'rspace', 'minsize', 'maxsize', 'movablelimits', 'largeop', 'linethickness', 'width', 'height'],
  ...['depth', 'voffset', 'notation', 'columnspan', 'rowspan'],
];
/** Classes that our own stylesheet knows. Any other could make a message look like a part of the page. */
const CLASS = /^(?:hljs(?:-[\w-]+)?|function_|class_|inherited__|constant_|language_|escape_|tml-[\w-]+|task|math|strike)$/;

const CONFIG: Config = {
  ALLOWED_TAGS: [...TAGS, ...MATH_TAGS],
  ALLOWED_ATTR: [...ATTRIBUTES, ...MATH_ATTRIBUTES],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /./,
  RETURN_DOM_FRAGMENT: true,
};

/** A place of this server that a message may show by itself: the bytes of an attachment. */
const ATTACHMENT = /^\/api\/v1\/sessions\/[\w-]+\/attachments\/[\w-]+$/;

/** Returns where an address leads when people may be sent there; null: nowhere. */
export function destination(address: string, base: string = location.origin): URL | null {
  let url: URL;
  try {
    url = new URL(address, base);
  } catch {
    return null;
  }
  if (url.username !== '' || url.password !== '') return null;
  if (url.protocol === 'mailto:') return url;
  return url.protocol === 'http:' || url.protocol === 'https:' ? url : null;
}

export function isOwn(url: URL, base: string = location.origin): boolean {
  return url.origin === new URL(base).origin;
}

/** Returns whether a picture may be loaded: only an attachment of this server. */
export function isAttachment(address: string, base: string = location.origin): boolean {
  const url = destination(address, base);
  return url !== null && isOwn(url, base) && url.search === '' && ATTACHMENT.test(url.pathname);
}

let purifier: ReturnType<typeof DOMPurify> | null = null;

function ready(): ReturnType<typeof DOMPurify> {
  if (purifier) return purifier;
  purifier = DOMPurify(window);
  purifier.addHook('uponSanitizeAttribute', (element, data) => {
    const tag = element.nodeName.toLowerCase();
    if (data.attrName === 'href') data.keepAttr = tag === 'a' && destination(data.attrValue) !== null;
    else if (data.attrName === 'src') data.keepAttr = tag === 'img' && isAttachment(data.attrValue);
    else if (data.attrName === 'class') {
      data.attrValue = data.attrValue.split(/\s+/).filter((name) => CLASS.test(name)).join(' ');
      data.keepAttr = data.attrValue !== '';
    }
  });
  purifier.addHook('afterSanitizeAttributes', (element) => {
    const tag = element.nodeName.toLowerCase();
    if (tag === 'a') asLink(element);
    else if (tag === 'img' && !element.hasAttribute('src')) element.remove();
  });
  return purifier;
}

/** Says where a link leads, and lets the place that it leads to know nothing of this page. */
function asLink(link: Element): void {
  const url = destination(link.getAttribute('href') ?? '');
  if (!url) {
    link.removeAttribute('href');
    return;
  }
  link.setAttribute('rel', 'noopener noreferrer nofollow');
  if (!link.hasAttribute('title')) link.setAttribute('title', url.href);
  if (!isOwn(url) && url.protocol !== 'mailto:') link.setAttribute('target', '_blank');
}

/** Makes elements of `html` and leaves out whatever is not allowed. The result is never turned into text and read again. */
export function sanitize(html: string): DocumentFragment {
  return ready().sanitize(html, CONFIG) as unknown as DocumentFragment;
}
