// The page's shell for when the server cannot be reached. It never touches /api: what is not fresh is not shown.
'use strict';

const CACHE = 'roundtable-shell-1';
/** How many files are kept; older builds go first. */
const MOST = 150;

self.addEventListener('install', (event) => {
  event.waitUntil(keepShell().then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  if (/^\/(api|y|collab|metrics|healthz|readyz)(\/|$)/.test(url.pathname)) return;
  if (request.mode === 'navigate') event.respondWith(page(request));
  else if (url.pathname.startsWith('/assets/')) event.respondWith(asset(request));
});

/** Fetches the page and everything that it names. */
async function keepShell() {
  const cache = await caches.open(CACHE);
  const answer = await fetch('/', { cache: 'no-cache' });
  if (!answer.ok) return;
  const html = await answer.clone().text();
  await cache.put('/', answer);
  const named = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map((match) => match[1]);
  await Promise.all(named.map((name) => cache.add(name).catch(() => {})));
}

/** Every address of the page is the same document; the network's is preferred. */
async function page(request) {
  try {
    return await fetch(request);
  } catch (away) {
    const known = await caches.match('/');
    if (known) return known;
    throw away;
  }
}

/** Names under /assets/ hold a hash of the content: what is kept is right. */
async function asset(request) {
  const known = await caches.match(request);
  if (known) return known;
  const answer = await fetch(request);
  if (answer.ok) {
    const cache = await caches.open(CACHE);
    await cache.put(request, answer.clone());
    const keys = await cache.keys();
    for (const old of keys.slice(0, Math.max(0, keys.length - MOST))) {
      if (new URL(old.url).pathname.startsWith('/assets/')) await cache.delete(old);
    }
  }
  return answer;
}
