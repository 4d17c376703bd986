"""The same calls as roundtable_hub::library, written as a Python program would: asyncio, dictionaries, queues.

Nothing is stored; a session keeps its events in a list. Prints one JSON object.
Usage: python3 library.py --subscribers N --callers N --seconds S
"""

import argparse
import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field


class Forbidden(Exception):
    pass


@dataclass
class Session:
    id: str
    owner: str
    title: str
    roles: dict = field(default_factory=dict)
    events: list = field(default_factory=list)
    queues: set = field(default_factory=set)
    is_active: bool = True


class SessionManager:
    def __init__(self):
        self.sessions = {}

    async def create_session(self, owner, title):
        session = Session(str(uuid.uuid4()), owner, title, {owner: "owner"})
        self.sessions[session.id] = session
        self._happen(session, "session.created", owner, {"title": title})
        return session.id

    async def let_in(self, session_id, user, role):
        session = self.sessions[session_id]
        session.roles[user] = role
        self._happen(session, "participant.joined", user, {"role": role})

    async def send_message(self, session_id, user, text):
        session = self.sessions[session_id]
        if not session.is_active or session.roles.get(user) not in ("owner", "moderator", "collaborator"):
            raise Forbidden(user)
        return self._happen(session, "message.posted", user, {"text": text})

    def watch(self, session_id, user):
        session = self.sessions[session_id]
        if user not in session.roles:
            raise Forbidden(user)
        queue = asyncio.Queue()
        session.queues.add(queue)
        return queue

    async def history(self, session_id, after, limit):
        return self.sessions[session_id].events[after : after + limit]

    def _happen(self, session, kind, actor, data):
        event = {
            "seq": len(session.events) + 1,
            "id": str(uuid.uuid4()),
            "kind": kind,
            "actor": actor,
            "at": time.time(),
            "data": data,
        }
        session.events.append(event)
        for queue in session.queues:
            queue.put_nowait(event)
        return event["seq"]


async def main(subscribers, callers, seconds):
    manager = SessionManager()
    session = await manager.create_session("owner", "bench")
    received = [0]

    async def read(queue):
        while True:
            await queue.get()
            received[0] += 1

    for n in range(subscribers):
        await manager.let_in(session, f"reader {n}", "viewer")
        asyncio.ensure_future(read(manager.watch(session, f"reader {n}")))
    # Everybody has read who else has come: what counts begins now.
    while any(not queue.empty() for queue in manager.sessions[session].queues):
        await asyncio.sleep(0)
    text = "what was decided, and why " * 8
    sent, ends = [0], time.perf_counter() + seconds

    async def call():
        while time.perf_counter() < ends:
            await manager.send_message(session, "owner", text)
            sent[0] += 1
            await asyncio.sleep(0)

    started, before = time.perf_counter(), received[0]
    await asyncio.gather(*(call() for _ in range(callers)))
    due = sent[0] * subscribers
    while received[0] - before < due:
        await asyncio.sleep(0)
    took = time.perf_counter() - started
    rate = sent[0] / took
    print(json.dumps({"subscribers": subscribers, "messages_per_second": rate, "deliveries_per_second": due / took}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--subscribers", type=int, default=1)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    asyncio.run(main(given.subscribers, given.callers, given.seconds))
