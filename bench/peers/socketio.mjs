// The fan-out peer on socket.io: one room, every message goes to everybody who joined it.
// As its documentation shows it: no login, no storage, defaults (no compression of WebSocket frames).
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { serveClient: false });

io.on("connection", (socket) => {
  socket.on("join", () => {
    socket.join("room");
    socket.emit("joined");
  });
  socket.on("m", (text) => io.to("room").emit("m", text));
});

http.listen(0, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${http.address().port}`);
});
