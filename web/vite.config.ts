import { svelte } from '@sveltejs/vite-plugin-svelte';
import tailwindcss from '@tailwindcss/vite';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** Where `npm run dev` forwards what only the server can answer. */
const server = process.env['ROUNDTABLE_DEV_SERVER'] ?? 'http://127.0.0.1:8080';

/** Asks for the font of the first screen together with its style sheet, not after it. */
const fontEarly: Plugin = {
  name: 'font-early',
  transformIndexHtml: {
    order: 'post',
    handler: (_html, { bundle }) =>
      Object.keys(bundle ?? {})
        .filter((file) => /inter-latin-wght-normal-.*\.woff2$/.test(file))
        .map((file) => ({
          tag: 'link',
          attrs: { rel: 'preload', as: 'font', type: 'font/woff2', href: `/${file}`, crossorigin: true },
          injectTo: 'head' as const,
        })),
  },
};

/** `/stories` while developing: every screen in every state. */
const storyPage: Plugin = {
  name: 'story-page',
  apply: 'serve',
  configureServer: (dev) => {
    dev.middlewares.use((request, _response, next) => {
      if (request.url && /^\/stories(\?|$)/.test(request.url)) request.url = request.url.replace('/stories', '/stories.html');
      next();
    });
  },
};

export default defineConfig(({ mode }) => ({
  plugins: [tailwindcss(), svelte(), fontEarly, storyPage],
  // Under Vitest the browser's half of Svelte, else components cannot be mounted.
  resolve: process.env['VITEST'] ? { conditions: ['browser'] } : {},
  build: {
    target: 'es2022',
    // Browsers that know `light-dark()`, which the tokens are written in.
    cssTarget: ['chrome123', 'safari17.5', 'firefox120'],
    // The page is served with `default-src 'self'`: no data: addresses, no inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true,
    // The story page is a build of its own, never part of what is served to people.
    ...(mode === 'stories' ? { outDir: 'pictures/site', rollupOptions: { input: 'stories.html' } } : {}),
  },
  server: {
    proxy: {
      '/api': { target: server, ws: true, changeOrigin: true, headers: { origin: server } },
    },
  },
  test: {
    include: ['src/**/*.test.ts'],
    environment: 'happy-dom',
    restoreMocks: true,
  },
}));
