/** The real server, started as people start it, on a port of its own and data of its own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = resolve(import.meta.dirname, '../../..');
const TARGET = process.env['CARGO_TARGET_DIR'] ?? join(ROOT, 'target');
const BINARY = process.env['ROUNDTABLE_BINARY'] ?? join(TARGET, 'debug/roundtable');

export class Server {
  readonly #data = mkdtempSync(join(tmpdir(), 'roundtable-e2e-'));
  #process: ChildProcess | null = null;
  readonly #env: Record<string, string>;
  #log: string[] = [];
  port = 0;

  private constructor(env: Record<string, string>) {
    this.#env = env;
  }

  /** `env` is all that it is told of `ROUNDTABLE_*`. */
  static async start(env: Record<string, string> = {}): Promise<Server> {
    for (const [what, path] of [
      ['the server: cargo build -p roundtable-server', BINARY],
      ['the page: npm run build', join(ROOT, 'web/dist/index.html')],
    ] as const) {
      if (!existsSync(path)) throw new Error(`first build ${what} (${path} is missing)`);
    }
    const server = new Server(env);
    await server.restart();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What the server has logged, newest last; for a test that fails. */
  get log(): string {
    return this.#log.slice(-60).join('\n');
  }

  /** Starts the server again on the same data and, the second time, on the same port. */
  async restart(): Promise<void> {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ROUNDTABLE_')));
    const args = ['serve', '--listen', `127.0.0.1:${this.port}`, '--data', join(this.#data, 'data')];
    const child = spawn(BINARY, args, { cwd: this.#data, env: { ...env, ...this.#env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    createInterface({ input: child.stderr }).on('line', (line) => this.#log.push(line));
    const lines = createInterface({ input: child.stdout });
    const listening = new Promise<number>((found, failed) => {
      lines.on('line', (line) => {
        this.#log.push(line);
        const port = /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
        if (port) found(Number(port));
      });
      child.once('exit', (code) => failed(new Error(`the server ended with ${code}:\n${this.log}`)));
      child.once('error', failed);
    });
    this.port = await listening;
  }

  /** Ends it at once, as a power cut does. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGKILL');
    rmSync(this.#data, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }
}
