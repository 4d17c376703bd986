/**
 * Who waits to be let in: the part of the view's fold that is about the lobby.
 *
 * Must not know: who may admit. Invariant: it says the same as `crates/protocol/src/view/lobby.rs`; an empty list is absent.
 */

import type { Id, JoinRequest, View } from './protocol';

export function requested(view: View, request: JoinRequest): View {
  return withRequests(view, [...(view.requests ?? []).filter((known) => known.id !== request.id), request]);
}

export function answered(view: View, participant: Id): View {
  return withRequests(view, (view.requests ?? []).filter((known) => known.id !== participant));
}

/** Returns the view with these and no others. */
export function withRequests(view: View, requests: JoinRequest[] | undefined): View {
  const { requests: _, ...rest } = view;
  return requests && requests.length > 0 ? { ...rest, requests } : rest;
}
