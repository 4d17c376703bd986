import { describe, expect, it } from 'vitest';
import { fixtures } from '../testing/fixtures';
import { Machine, type Output } from './machine';
import type { Id, ServerFrame, Stream } from './protocol';

type Json = Record<string, unknown>;

interface Line {
  note?: string;
  in?: Json & { type: string };
  out?: Json;
  check?: Json & { session_id: Id };
}

/** Drops fields that are null: the scripts compare without them. */
function bare(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bare);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, v]) => v !== null && v !== undefined)
      .map(([k, v]) => [k, bare(v)]),
  );
}

/** An output as the scripts write it; null for those that are no part of a script. */
function scripted(output: Output): Json | null {
  switch (output.out) {
    case 'connect':
    case 'close':
      return { type: output.out };
    case 'send':
      return { type: 'send', frame: output.frame };
    case 'status': {
      const { is, ...rest } = output.status;
      const { until_ms: until, code } = rest as { until_ms?: number; code?: number };
      return { type: 'status', status: is, until, code };
    }
    case 'settled': {
      const { session: session_id, key, result } = output;
      if ('problem' in result) return { type: 'settled', session_id, key, code: result.problem.code };
      const { stream, seq, id, duplicate = false } = result.ok;
      return { type: 'settled', session_id, key, ok: { stream, seq, id, duplicate } };
    }
    case 'postponed':
      return {
        type: 'postponed',
        session_id: output.session,
        key: output.key,
        code: output.problem.code,
        until: output.until_ms,
      };
    case 'refused':
      return { type: 'refused', session_id: output.session, code: output.problem.code };
    case 'changed':
      return { type: 'changed', session_id: output.session };
    default:
      return null;
  }
}

class Player {
  readonly keys: Id[] = [];
  readonly machine = new Machine({
    token: 'token',
    features: ['deflate'],
    entropy: { key: () => this.keys.shift()!, jitter: () => 0.5 },
  });

  give(input: Json & { type: string }): unknown[] {
    const m = this.machine;
    const session = input['session_id'] as Id;
    switch (input.type) {
      case 'connect':
        m.connect();
        break;
      case 'connected':
        m.connected();
        break;
      case 'disconnected':
        m.disconnected(input['code'] as number | null);
        break;
      case 'close':
        m.close();
        break;
      case 'tick':
        m.tick(input['now'] as number);
        break;
      case 'frame':
        m.frame(input['frame'] as ServerFrame);
        break;
      case 'subscribe':
        m.subscribe(session, input['streams'] as Stream[]);
        break;
      case 'unsubscribe':
        m.unsubscribe(session);
        break;
      case 'command':
        this.keys.push(input['key'] as Id);
        m.command(session, input['stream'] as Stream, input['name'] as string, input['data']);
        break;
      default:
        throw new Error(`unknown input ${input.type}`);
    }
    const outputs = [];
    for (let output = m.poll(); output; output = m.poll()) outputs.push(scripted(output));
    return outputs.filter((o) => o !== null).map(bare);
  }

  state(id: Id): Json {
    const sync = this.machine.session(id);
    const view = sync?.view;
    const heads = Object.fromEntries((sync?.streams ?? []).map((s) => [s, sync?.position(s)]));
    const texts = Object.entries(view?.streams ?? {}).map(([s, v]) => [s, v.messages.map((m) => m.text)]);
    return {
      session_id: id,
      status: this.machine.status.is,
      deadline: this.machine.deadline(),
      heads,
      texts: Object.fromEntries(texts),
      title: view?.session?.title ?? null,
      role: sync?.you?.role ?? null,
      unanswered: sync?.commands.keys() ?? [],
    };
  }
}

const scripts = fixtures<Line>('frames/client-machine');

describe('the machine plays every script', () => {
  it('finds scripts', () => expect(scripts.length).toBeGreaterThanOrEqual(11));

  it.each(scripts)('$name', ({ lines }) => {
    const player = new Player();
    let checked = 0;
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i]!;
      const where = `line ${i + 1}`;
      if (line.in) {
        const wanted = [];
        for (let next = lines[i + 1]; next?.out; next = lines[i + 1]) {
          wanted.push(bare(next.out));
          i += 1;
        }
        expect(player.give(line.in), where).toEqual(wanted);
        checked += 1;
      } else if (line.check) {
        expect(player.state(line.check.session_id), where).toEqual(line.check);
        checked += 1;
      } else {
        expect(line.note, where).toBeTypeOf('string');
      }
    }
    expect(checked).toBeGreaterThan(0);
  });
});
