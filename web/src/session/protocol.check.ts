/**
 * Compares the types of this folder with those generated from the server's document. Nothing runs here: what differs
 * does not pass `npm run check`.
 *
 * The generated types know less about what is read: a field that may be null is optional there. Hence two directions:
 * what this page means must fit the document, and what the document means must fit this page once null and absence
 * are told apart no more.
 */

import type { components } from '../api/schema';
import type * as mine from './protocol';

type Schemas = components['schemas'];

/** `T` as the generator would write it: what may be null may be absent. */
type Loose<T> = T extends readonly (infer E)[]
  ? Loose<E>[]
  : T extends object
    ? { [K in keyof T as null extends T[K] ? never : K]: Loose<T[K]> } & {
        [K in keyof T as null extends T[K] ? K : never]?: Loose<T[K]>;
      }
    : T;

type Fits<Narrow, Wide> = [Narrow] extends [Wide] ? true : { does_not_fit: Narrow; into: Wide };
type Same<Mine, Theirs> = Fits<Mine, Theirs> extends true ? Fits<Theirs, Loose<Mine>> : Fits<Mine, Theirs>;

/** Returns `true`, or those of several comparisons that failed. */
type AllFit<T> = Exclude<T[keyof T], true> extends never ? true : Exclude<T[keyof T], true>;

type Checks = {
  participant: Same<mine.Participant, Schemas['Participant']>;
  join_request: Same<mine.JoinRequest, Schemas['JoinRequest']>;
  turn: Same<mine.Turn, Schemas['Turn']>;
  usage: Same<mine.Usage, Schemas['Usage']>;
  session_info: Same<mine.SessionInfo, Schemas['SessionInfo']>;
  session_view: Same<mine.SessionView, Schemas['SessionView']>;
  message_view: Same<mine.MessageView, Schemas['MessageView']>;
  stream_view: Same<mine.StreamView, Schemas['StreamView']>;
  view: Fits<mine.View, Schemas['View']>;
  page: Same<mine.Page, Schemas['Page']>;
  problem: Fits<Schemas['Problem'], Loose<mine.Problem>>;
  permission: Same<mine.Permission, Schemas['Permission']>;
  role: Same<mine.Role, Schemas['Role']>;
  stream: Same<mine.Stream, Schemas['Stream']>;
  event: Fits<Schemas['Event'], Loose<mine.SessionEvent>>;
  kinds: Same<mine.EventKind, Schemas['EventBody']['kind']>;
  frames: AllFit<{
    [T in mine.ServerFrame['type']]: Fits<
      Extract<Schemas['ServerFrame'], { type: T }>,
      Loose<Extract<mine.ServerFrame, { type: T }>>
    >;
  }>;
  frame_types: Same<mine.ServerFrame['type'], Schemas['ServerFrame']['type']>;
  client_frames: Fits<Exclude<mine.ClientFrame, { type: 'command' | 'ephemeral' }>, Schemas['ClientFrame']>;
  client_frame_types: Same<mine.ClientFrame['type'], Schemas['ClientFrame']['type']>;
};

/** Every check is `true`, else this line names the first that is not. */
type AllTrue = { [K in keyof Checks]: true };
export const checks = (all: Checks): AllTrue => all;
