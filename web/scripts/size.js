// Fails when the JavaScript of the first screen is larger than promised. Takes the manifest away: it is not served.
import { readFileSync, rmSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

/** Unit: bytes of gzip. */
const MOST = 120 * 1024;
const dist = new URL('../dist/', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist), 'utf8'));

/** Everything that the entry loads without being asked. */
function reachable(name, seen = new Set()) {
  if (seen.has(name)) return seen;
  seen.add(name);
  for (const next of manifest[name].imports ?? []) reachable(next, seen);
  return seen;
}

const files = [...reachable('index.html')].map((name) => manifest[name].file).filter((file) => file.endsWith('.js'));
rmSync(new URL('.vite/', dist), { recursive: true });
const size = files.reduce((sum, file) => sum + gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length, 0);
console.log(`first screen: ${(size / 1024).toFixed(1)} KB of JavaScript, gzip (at most ${MOST / 1024})`);
if (size === 0 || size > MOST) {
  console.error('The JavaScript of the first screen is larger than promised: load something on demand.');
  process.exit(1);
}
