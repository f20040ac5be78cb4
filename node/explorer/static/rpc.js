// JSON-RPC over the WebSocket of the node that serves this page. It reconnects by itself.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;

/** What the node answers to a request that it refuses, or that it could not answer. */
export class RpcError extends Error {
  constructor(error) {
    super(error.message);
    this.name = "RpcError";
    this.code = error.data?.code ?? "";
    this.number = error.code;
    this.data = error.data ?? {};
  }
}

const LOST = { code: 0, message: "The connection to the node was lost.", data: { code: "connection_lost" } };

export class Chain {
  #socket = null;
  #calls = new Map();
  #waiting = [];
  #topics = new Map(); // topic -> functions
  #heard = new Map(); // topic -> whether this connection has asked for it
  #listeners = new Set();
  #made = 0;
  #failures = 0;
  #url;

  constructor(url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`) {
    this.#url = url;
    this.#connect();
  }

  /** The result of a method; its parameters by their names. Without a connection, it waits for one. */
  call(method, params = {}) {
    const id = ++this.#made;
    return new Promise((resolve, reject) => {
      const request = { jsonrpc: "2.0", id, method, params };
      this.#calls.set(id, { resolve, reject });
      if (this.#isOpen()) this.#send(request);
      else this.#waiting.push(request);
    });
  }

  /** Calls `listener(event, topic)` for each event of a topic from now on; gives a function that ends it. */
  subscribe(topic, listener) {
    if (!this.#topics.has(topic)) this.#topics.set(topic, new Set());
    this.#topics.get(topic).add(listener);
    if (this.#isOpen()) this.#hear(topic);
    return () => this.#topics.get(topic).delete(listener);
  }

  /** Calls `listener("open" | "lost")` at each change, and with the present state at once. */
  onState(listener) {
    this.#listeners.add(listener);
    listener(this.#isOpen() ? "open" : "lost");
    return () => this.#listeners.delete(listener);
  }

  #isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  #send(request) {
    this.#socket.send(JSON.stringify(request));
  }

  #connect() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.addEventListener("message", (message) => this.#received(JSON.parse(message.data)));
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("close", () => this.#closed());
  }

  #opened() {
    this.#failures = 0;
    for (const [topic, listeners] of this.#topics) if (listeners.size) this.#hear(topic);
    for (const request of this.#waiting.splice(0)) this.#send(request);
    this.#tell("open");
  }

  #closed() {
    this.#heard.clear();
    const unsent = new Set(this.#waiting.map((request) => request.id));
    for (const [id, { reject }] of this.#calls) {
      if (unsent.has(id)) continue; // it goes out with the next connection
      this.#calls.delete(id);
      reject(new RpcError(LOST));
    }
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures++);
    setTimeout(() => this.#connect(), wait * (0.75 + Math.random() / 2));
    this.#tell("lost");
  }

  /** A connection hears a topic once, for all who listen to it here. */
  #hear(topic) {
    if (this.#heard.has(topic)) return;
    this.#heard.set(topic, true);
    this.call("subscribe", { topics: [topic] }).catch((error) => {
      if (error.code !== "connection_lost") console.error(`no events of ${topic}: ${error.message}`);
    });
  }

  #received(message) {
    if (message.method === "subscription") {
      const { topic, result } = message.params;
      for (const listener of [...(this.#topics.get(topic) ?? [])]) listener(result, topic);
      return;
    }
    const call = this.#calls.get(message.id);
    if (!call) return;
    this.#calls.delete(message.id);
    if (message.error) call.reject(new RpcError(message.error));
    else call.resolve(message.result);
  }

  #tell(state) {
    for (const listener of [...this.#listeners]) listener(state);
  }
}
