/** The story page: one story by `?story=`, with `&theme=` and `&language=` as there are; else the list of all. Never part of what is served to people. */

import { mount } from 'svelte';
import '../app/app.css';
import { desk } from '../app/desk.svelte';
import { isLanguage, problemWords, speak } from '../app/i18n';
import { noteKnown } from '../app/known';
import { prefer } from '../app/preferences.svelte';
import { isTheme, THEME_KEY } from '../app/theme';
import { sayProblemsWith } from '../ui/problem';
import { stories } from './list';
import { playServer, playSocket } from './world';

sayProblemsWith(problemWords);
const target = document.getElementById('app')!;
const asked = new URLSearchParams(location.search);
const wanted = asked.get('story');
const story = stories.find((one) => one.id === wanted);

/** Waits until something is there. */
function there(selector: string): Promise<HTMLElement> {
  return new Promise((found) => {
    const look = () => {
      const all = [...document.querySelectorAll<HTMLElement>(selector)].filter((one) => one.checkVisibility());
      const last = all[all.length - 1];
      if (last) found(last);
      else requestAnimationFrame(look);
    };
    look();
  });
}

function press(element: HTMLElement): void {
  const at = element.getBoundingClientRect();
  const where = { bubbles: true, cancelable: true, clientX: at.x + 2, clientY: at.y + 2, button: 0, pointerType: 'mouse', pointerId: 1 };
  element.dispatchEvent(new PointerEvent('pointerdown', where));
  element.dispatchEvent(new PointerEvent('pointerup', where));
  // A menu opens when its button goes down; a click would close it again.
  if (element.getAttribute('aria-haspopup') !== 'menu') element.click();
}

if (!story) {
  const list = document.createElement('ul');
  list.className = 'grid gap-1 p-6 text-15';
  for (const { id, only } of stories) {
    const link = Object.assign(document.createElement('a'), { href: `/stories?story=${id}`, textContent: id });
    const item = document.createElement('li');
    if (only) item.dataset['only'] = only;
    item.append(link);
    list.append(item);
  }
  target.append(list);
} else if (story.path === '/stories/components') {
  const [{ default: Components }, { default: Toaster }] = await Promise.all([import('./Components.svelte'), import('../ui/Toaster.svelte')]);
  mount(Components, { target });
  mount(Toaster, { target, props: { closeLabel: 'Close' } });
} else {
  for (const key of ['roundtable.preferences', THEME_KEY]) localStorage.removeItem(key);
  sessionStorage.clear();
  noteKnown(true);
  const [theme, language] = [asked.get('theme'), asked.get('language') ?? ''];
  prefer({ theme: isTheme(theme) ? theme : 'system', language: isLanguage(language) ? language : 'en' });
  if (isLanguage(language)) await speak(language);
  playServer(story.answers ?? []);
  playSocket(story.stage ?? {});
  history.replaceState(null, '', story.path);
  const { default: App } = await import('../app/App.svelte');
  mount(App, { target });
  if (story.dialog) {
    await there('.session');
    await there('.connection');
    await new Promise((done) => setTimeout(done, 100));
    desk.dialog = story.dialog;
  }
  for (const selector of story.clicks ?? []) press(await there(selector));
}
// For tests, which see the same story in another language without telling it again.
Object.assign(globalThis, { speak });
document.documentElement.dataset['story'] = wanted ?? 'list';
