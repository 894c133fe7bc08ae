// The way to the assistant: questions by POST, events by a WebSocket that comes back whenever it is lost.

const LONGEST_PAUSE_MS = 8000;

export class LoginNeeded extends Error {}

export async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await response.json().catch(() => ({ error: `the answer was ${response.status}` }));
  if (response.status === 401 && path !== "api/login") throw new LoginNeeded(answer.error);
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

export const socketUrl = (path) => new URL(path, location.href.replace(/^http/, "ws")).href;

// Calls `heard` with each message, `changed` with "live", "lost" or "login".
export class Link {
  constructor(heard, changed) {
    this.heard = heard;
    this.changed = changed;
    this.pauseMs = 500;
  }

  open() {
    const socket = new WebSocket(socketUrl("api/live"));
    socket.onopen = () => {
      this.pauseMs = 500;
      this.changed("live");
    };
    socket.onmessage = (event) => this.heard(JSON.parse(event.data));
    socket.onclose = () => this.again();
  }

  async again() {
    // A browser does not tell why a WebSocket was refused; this does.
    const refused = await fetch("api/status").then((answer) => answer.status === 401, () => false);
    this.changed(refused ? "login" : "lost");
    if (refused) return;
    setTimeout(() => this.open(), this.pauseMs);
    this.pauseMs = Math.min(2 * this.pauseMs, LONGEST_PAUSE_MS);
  }
}
