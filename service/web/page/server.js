// Asks the server that this page came from. Every failure is a Problem, in the server's own words where it has any.

const TOKEN_KEY = "cnnsvc-token";
const PATIENCE_MS = 60_000;
const LASTING = new Set(["invalid", "unsupported", "too_large", "unreadable"]);

export class Problem extends Error {
  constructor(detail, { kind, status = 0, retryAfterS = 0 }) {
    super(detail);
    this.kind = kind;
    this.status = status;
    this.retryAfterS = retryAfterS;
  }

  get canPass() {
    return !LASTING.has(this.kind);
  }

  get wantsToken() {
    return this.status === 401 || this.status === 403;
  }
}

export class Server {
  /** Called with the Problem when the API wants another token. */
  onTokenWanted = () => {};
  #token = remembered();

  get hasToken() {
    return this.#token !== "";
  }

  /** Kept until the tab is closed. Throws a Problem for what cannot be sent as a token. */
  set token(token) {
    if (!/^[\x21-\x7e]*$/.test(token)) {
      throw new Problem("A token has letters, digits and signs of ASCII only, and no blanks.", { kind: "invalid" });
    }
    this.#token = token;
    try {
      sessionStorage.setItem(TOKEN_KEY, token);
    } catch {
      // Without storage it is kept as long as the page is open.
    }
  }

  /** The OpenAPI document: which routes there are, and which of them want a token. */
  async description() {
    return (await this.#ask("openapi.json")).json();
  }

  async models() {
    return read(await this.#askApi("api/v1/models"));
  }

  /** Why the server is not ready. */
  async unreadyReasons() {
    const response = await this.#send("readyz", {});
    return (await response.json()).reasons;
  }

  classify(image, choice) {
    return this.#post("api/v1/classify", image, choice);
  }

  explain(image, choice) {
    return this.#post("api/v1/explain", image, choice);
  }

  /** Text of the metrics; another token than the API's may be needed, so that it is asked for nowhere. */
  async metrics() {
    return (await this.#ask("metrics")).text();
  }

  async #post(path, image, { model, version }) {
    await requireReadable(image);
    const query = new URLSearchParams({ model });
    if (version) query.set("version", version);
    const headers = { "content-type": "application/octet-stream" }; // the server tells images by their content
    return read(await this.#askApi(`${path}?${query}`, { method: "POST", body: image, headers }));
  }

  async #askApi(path, options) {
    try {
      return await this.#ask(path, options);
    } catch (problem) {
      if (problem.wantsToken) this.onTokenWanted(problem);
      throw problem;
    }
  }

  async #ask(path, options = {}) {
    const response = await this.#send(path, options);
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  async #send(path, { headers = {}, ...options }) {
    const sent = this.#token ? { ...headers, authorization: `Bearer ${this.#token}` } : headers;
    const signal = AbortSignal.timeout(PATIENCE_MS);
    try {
      return await fetch(path, { ...options, headers: sent, signal, cache: "no-store" });
    } catch (error) {
      throw unreachable(error);
    }
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(TOKEN_KEY) ?? "";
  } catch {
    return "";
  }
}

/** Versions may be larger than a number of JavaScript holds, so they stay the digits that came. */
async function read(response) {
  let text;
  try {
    text = await response.text();
  } catch (error) {
    throw unreachable(error);
  }
  return JSON.parse(text, (key, value, context) => (key === "version" ? (context?.source ?? String(value)) : value));
}

function unreachable(error) {
  const waited = error.name === "TimeoutError";
  const detail = waited ? `The server did not answer within ${PATIENCE_MS / 1000} s.` : "The server cannot be reached.";
  return new Problem(detail, { kind: "unreachable" });
}

/** A folder, or a file that is gone since it was chosen, would look like a server that is gone. */
async function requireReadable(image) {
  try {
    await image.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem("The file cannot be read; it may be a folder, or be gone.", { kind: "unreadable" });
  }
}

async function problemOf(response) {
  const status = response.status;
  const retryAfterS = Number(response.headers.get("retry-after")) || 0;
  try {
    const { detail, kind } = await response.json();
    if (detail && kind) return new Problem(detail, { kind, status, retryAfterS });
  } catch {
    // A proxy in between has other words.
  }
  return new Problem(`HTTP ${status} ${response.statusText}`.trim(), { kind: "unknown", status, retryAfterS });
}
