// Serves a build of the stories under the content policy of the server; for pictures and tests.
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, resolve } from 'node:path';

const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' };
/** The server's own policy, read where it stands so that there is only one; nobody takes its reports here. */
const policy = (() => {
  const source = readFileSync(resolve(import.meta.dirname, '../../crates/server/src/problem.rs'), 'utf8');
  const text = /"content-security-policy",\s*"([^"]+)"/.exec(source)?.[1];
  if (!text?.includes("script-src 'self'")) throw new Error('the content policy of the server is not where it was');
  return text.replace(/\\\s+/g, '').replace(/;\s*report-uri [^;]*/, '');
})();

/** Every address without a file is the story page. */
export async function serveStories(site) {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://x').pathname);
    const file = extname(path) && existsSync(join(site, path)) ? join(site, path) : join(site, 'stories.html');
    response.setHeader('content-type', types[extname(file)] ?? 'application/octet-stream');
    response.setHeader('content-security-policy', policy);
    response.end(readFileSync(file));
  });
  await new Promise((listens) => server.listen(0, '127.0.0.1', listens));
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}
