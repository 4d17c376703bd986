// The fan-out peer on Bun, whose WebSocket server is uWebSockets: one topic, every message is published to it.
// As its documentation shows it: no login, no storage, defaults (no compression).
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response("a WebSocket is expected", { status: 400 });
  },
  websocket: {
    message(socket, text) {
      if (text === "join") {
        socket.subscribe("room");
        socket.send("joined");
      } else {
        server.publish("room", text);
      }
    },
  },
});

console.log(`listening on http://127.0.0.1:${server.port}`);
